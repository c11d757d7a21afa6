//! Reads a pickle that describes tensors, and runs nothing.
//!
//! A pickle is a program for a stack machine. This machine has the instructions that dictionaries of tensors are written
//! with; `GLOBAL` knows the names in [`globals`](super::globals) and refuses all others, so that `REDUCE` can only
//! describe. Values are numbers in one list (an arena): nothing nests in memory, however deep a hostile pickle nests, and
//! every instruction makes at most one value, so that memory is bounded by the length of the pickle.
//!
//! Source of the instructions: Python's `pickletools.py`, protocols 0 to 5.

use std::collections::BTreeMap;

use super::super::DType;
use super::globals::{self, Global};

/// Longest key of a storage, and longest name of a type. Each tensor has a copy of both.
const MAX_KEY_BYTES: usize = 100;
/// Most dimensions a description is read of; what uses them asks for fewer.
const MAX_DIMENSIONS: usize = 64;

/// Tensors and their names.
pub(super) type Tensors = Vec<(String, PickledTensor)>;

/// A tensor as the pickle describes it.
#[derive(Clone, Debug)]
pub(super) struct PickledTensor {
    pub storage: Storage,
    /// First element.
    pub offset: u64,
    pub shape: Vec<u64>,
    pub strides: Vec<u64>,
    /// `None` for a type that is not read.
    pub dtype: Option<DType>,
    /// What the pickle calls the type.
    pub type_name: String,
}

/// A file of elements.
#[derive(Clone, Debug)]
pub(super) struct Storage {
    pub key: String,
    dtype: Option<DType>,
    type_name: String,
}

/// Why a pickle is not read.
#[derive(Debug)]
pub(super) enum Problem {
    /// It asks for what tensors do not need.
    Refused { global: String },
    /// It is damaged, or not of the kind that is read.
    Wrong(String),
}

impl From<&str> for Problem {
    fn from(problem: &str) -> Problem {
        Problem::Wrong(problem.to_owned())
    }
}

/// A value: small, or a place in the arena.
#[derive(Clone, Copy, Debug)]
enum Value {
    Nothing,
    Integer(i64),
    Node(usize),
}

#[derive(Clone, Debug)]
enum Node {
    Text(String),
    Tuple(Vec<Value>),
    List,
    Dictionary(Vec<(Value, Value)>),
    Global(Global, String),
    Storage(Storage),
    Tensor(PickledTensor),
}

/// Dictionaries that hold the tensors in files of whole training states.
const INNER: [&str; 3] = ["state_dict", "model_state_dict", "model"];

/// The tensors of the dictionary that `bytes` describe.
pub(super) fn read(bytes: &[u8]) -> Result<Tensors, Problem> {
    let mut machine =
        Machine { rest: bytes, stack: Vec::new(), marks: Vec::new(), memo: Vec::new(), arena: Vec::new() };
    let top = machine.run()?;
    let mut entries = machine.dictionary(top).ok_or("it is no dictionary of tensors")?;
    let holds_tensors = |entries: &[(Value, Value)]| {
        entries.iter().any(|&(_, value)| matches!(machine.node(value), Some(Node::Tensor(_))))
    };
    if !holds_tensors(entries) {
        let inner = entries.iter().find(|&&(key, _)| machine.text(key).is_some_and(|key| INNER.contains(&key)));
        entries = inner.and_then(|&(_, value)| machine.dictionary(value)).ok_or("it holds no tensors")?;
    }
    let mut tensors = BTreeMap::new();
    for &(key, value) in entries {
        if let (Some(name), Some(Node::Tensor(tensor))) = (machine.text(key), machine.node(value))
            && tensors.insert(name, tensor).is_some()
        {
            return Err(Problem::Wrong(format!("it has tensor `{}` twice", name.escape_debug())));
        }
    }
    Ok(tensors.into_iter().map(|(name, tensor)| (name.to_owned(), tensor.clone())).collect())
}

struct Machine<'a> {
    rest: &'a [u8],
    stack: Vec<Value>,
    marks: Vec<usize>,
    memo: Vec<Option<Value>>,
    arena: Vec<Node>,
}

impl<'a> Machine<'a> {
    fn run(&mut self) -> Result<Value, Problem> {
        loop {
            let [opcode] = self.take()?;
            match opcode {
                b'.' => return self.pop(),
                // PROTO and FRAME
                0x80 => drop(self.take::<1>()?),
                0x95 => drop(self.take::<8>()?),
                b'(' => self.marks.push(self.stack.len()),
                b'0' => drop(self.pop()?),
                b'1' => drop(self.since_mark()?),
                b'2' => {
                    let top = *self.stack.last().ok_or("its stack is empty")?;
                    self.stack.push(top);
                }
                b'N' | 0x88 | 0x89 => {
                    let value = if opcode == b'N' { Value::Nothing } else { Value::Integer(i64::from(opcode == 0x88)) };
                    self.stack.push(value);
                }
                b'K' | b'M' | b'J' | 0x8a | b'G' => self.number(opcode)?,
                b'X' | 0x8c | 0x8d => self.string(opcode)?,
                b')' => self.push(Node::Tuple(Vec::new())),
                0x85..=0x87 => {
                    let from = self.stack.len().checked_sub(usize::from(opcode) - 0x84).ok_or("its stack is empty")?;
                    let items = self.stack.split_off(from);
                    self.push(Node::Tuple(items));
                }
                b't' => {
                    let items = self.since_mark()?;
                    self.push(Node::Tuple(items));
                }
                b'}' => self.push(Node::Dictionary(Vec::new())),
                b's' => {
                    let (value, key) = (self.pop()?, self.pop()?);
                    self.set(&[key, value])?;
                }
                b'u' => {
                    let items = self.since_mark()?;
                    self.set(&items)?;
                }
                // Lists say nothing about tensors: their items are forgotten.
                b']' => self.push(Node::List),
                b'a' => drop(self.pop()?),
                b'e' => drop(self.since_mark()?),
                b'c' => {
                    let (module, name) = (self.line()?, self.line()?);
                    self.global(module, name)?;
                }
                0x93 => {
                    let (name, module) = (self.pop()?, self.pop()?);
                    let text = |value| self.text(value).map(str::to_owned).ok_or("a global has no name");
                    let (module, name) = (text(module)?, text(name)?);
                    self.global(&module, &name)?;
                }
                b'q' | b'r' | 0x94 => self.remember(opcode)?,
                b'h' | b'j' => {
                    let place = self.index(opcode == b'h')?;
                    let value = self.memo.get(place).copied().flatten().ok_or("it recalls what it never stored")?;
                    self.stack.push(value);
                }
                b'Q' => self.storage()?,
                b'R' => self.reduce()?,
                // The state of an object: of an ordered dictionary, its remarks on versions.
                b'b' => drop(self.pop()?),
                other => return Err(Problem::Wrong(format!("instruction {other:#04x} is not one that tensors need"))),
            }
        }
    }

    fn take<const COUNT: usize>(&mut self) -> Result<[u8; COUNT], Problem> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or("it ends too early")?;
        self.rest = rest;
        Ok(*taken)
    }

    fn bytes(&mut self, count: usize) -> Result<&'a [u8], Problem> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or("it ends too early")?;
        self.rest = rest;
        Ok(taken)
    }

    fn line(&mut self) -> Result<&'a str, Problem> {
        let end = self.rest.iter().position(|&byte| byte == b'\n').ok_or("it ends too early")?;
        let line = self.bytes(end + 1)?;
        Ok(std::str::from_utf8(&line[..end]).map_err(|_| "a name is not UTF-8")?)
    }

    fn pop(&mut self) -> Result<Value, Problem> {
        Ok(self.stack.pop().ok_or("its stack is empty")?)
    }

    fn since_mark(&mut self) -> Result<Vec<Value>, Problem> {
        let mark = self.marks.pop().filter(|&mark| mark <= self.stack.len()).ok_or("a mark is missing")?;
        Ok(self.stack.split_off(mark))
    }

    fn push(&mut self, node: Node) {
        self.stack.push(Value::Node(self.arena.len()));
        self.arena.push(node);
    }

    fn number(&mut self, opcode: u8) -> Result<(), Problem> {
        let number = match opcode {
            b'K' => i64::from(self.take::<1>()?[0]),
            b'M' => i64::from(u16::from_le_bytes(self.take()?)),
            b'J' => i64::from(i32::from_le_bytes(self.take()?)),
            // A float says nothing about tensors.
            b'G' => {
                self.take::<8>()?;
                self.stack.push(Value::Nothing);
                return Ok(());
            }
            _ => {
                let [length] = self.take()?;
                let digits = self.bytes(length.into())?;
                if digits.len() > 8 {
                    return Err("a number has more than 64 bits".into());
                }
                let negative = digits.last().is_some_and(|&last| last >= 0x80);
                let mut whole = if negative { [0xff; 8] } else { [0; 8] };
                whole[..digits.len()].copy_from_slice(digits);
                i64::from_le_bytes(whole)
            }
        };
        self.stack.push(Value::Integer(number));
        Ok(())
    }

    fn string(&mut self, opcode: u8) -> Result<(), Problem> {
        let length = match opcode {
            0x8c => self.take::<1>()?[0].into(),
            b'X' => u32::from_le_bytes(self.take()?).into(),
            _ => u64::from_le_bytes(self.take()?),
        };
        let bytes = self.bytes(usize::try_from(length).map_err(|_| "a text is too long")?)?;
        let text = std::str::from_utf8(bytes).map_err(|_| "a text is not UTF-8")?;
        self.push(Node::Text(text.to_owned()));
        Ok(())
    }

    fn index(&mut self, short: bool) -> Result<usize, Problem> {
        Ok(if short { self.take::<1>()?[0].into() } else { u32::from_le_bytes(self.take()?) as usize })
    }

    fn remember(&mut self, opcode: u8) -> Result<(), Problem> {
        let place = if opcode == 0x94 { self.memo.len() } else { self.index(opcode == b'q')? };
        // Writers number from zero: a place far past the last one would only cost memory.
        if place > self.memo.len() + (1 << 16) {
            return Err("it stores at a place far past the last one".into());
        }
        if place >= self.memo.len() {
            self.memo.resize(place + 1, None);
        }
        self.memo[place] = Some(*self.stack.last().ok_or("its stack is empty")?);
        Ok(())
    }

    fn set(&mut self, items: &[Value]) -> Result<(), Problem> {
        let Some(&Value::Node(target)) = self.stack.last() else { return Err("it sets a key of nothing".into()) };
        match &mut self.arena[target] {
            Node::Dictionary(entries) => {
                entries.extend(items.as_chunks::<2>().0.iter().map(|&[key, value]| (key, value)))
            }
            _ => return Err("it sets a key of what is no dictionary".into()),
        }
        Ok(())
    }

    fn global(&mut self, module: &str, name: &str) -> Result<(), Problem> {
        let Some(global) = globals::find(module, name).filter(|_| name.len() <= MAX_KEY_BYTES) else {
            let global: String = format!("{module}.{name}").chars().take(100).flat_map(char::escape_debug).collect();
            return Err(Problem::Refused { global });
        };
        self.push(Node::Global(global, name.to_owned()));
        Ok(())
    }

    /// `("storage", class, key, device, elements)`
    fn storage(&mut self) -> Result<(), Problem> {
        let id = self.pop()?;
        let Some(&[_, class, key, ..]) = self.tuple(id) else { return Err("a storage has no description".into()) };
        let key = self.text(key).filter(|key| key.len() <= MAX_KEY_BYTES).ok_or("a storage has no key")?;
        // The key becomes the name of a member of the archive, and nothing else.
        let key = key.to_owned();
        let storage = match self.node(class) {
            Some(Node::Global(Global::Type(dtype), name)) => Storage { key, dtype: *dtype, type_name: name.clone() },
            Some(Node::Global(Global::Untyped, name)) => Storage { key, dtype: None, type_name: name.clone() },
            _ => return Err("a storage has no type".into()),
        };
        self.push(Node::Storage(storage));
        Ok(())
    }

    fn reduce(&mut self) -> Result<(), Problem> {
        let (arguments, callable) = (self.pop()?, self.pop()?);
        let Some(&Node::Global(callable, _)) = self.node(callable) else {
            return Err("it calls what is no name".into());
        };
        let arguments = self.tuple(arguments).ok_or("it calls without arguments")?.to_vec();
        match callable {
            Global::OrderedDict => self.push(Node::Dictionary(Vec::new())),
            Global::RebuildParameter | Global::Size => {
                self.stack.push(*arguments.first().ok_or("an argument is missing")?);
            }
            Global::RebuildTensor => {
                let tensor = self.tensor(&arguments)?;
                self.push(Node::Tensor(tensor));
            }
            Global::Type(_) | Global::Untyped => return Err("it calls a type".into()),
        }
        Ok(())
    }

    /// `(storage, offset, shape, strides, requires_grad, hooks[, dtype, …])`
    fn tensor(&self, arguments: &[Value]) -> Result<PickledTensor, Problem> {
        let &[storage, offset, shape, strides, ..] = arguments else {
            return Err("a tensor has too few arguments".into());
        };
        let Some(Node::Storage(storage)) = self.node(storage) else { return Err("a tensor has no storage".into()) };
        let (mut dtype, mut type_name) = (storage.dtype, storage.type_name.clone());
        if let Some(Node::Global(Global::Type(own), name)) = arguments.get(6).and_then(|&own| self.node(own)) {
            (dtype, type_name) = (*own, name.clone());
        }
        Ok(PickledTensor {
            storage: storage.clone(),
            offset: size(offset).ok_or("a tensor has no offset")?,
            shape: self.sizes(shape).ok_or("a tensor has no shape")?,
            strides: self.sizes(strides).ok_or("a tensor has no strides")?,
            dtype,
            type_name,
        })
    }

    fn sizes(&self, value: Value) -> Option<Vec<u64>> {
        let sizes = self.tuple(value).filter(|sizes| sizes.len() <= MAX_DIMENSIONS)?;
        sizes.iter().map(|&value| size(value)).collect()
    }

    fn node(&self, value: Value) -> Option<&Node> {
        match value {
            Value::Node(place) => self.arena.get(place),
            _ => None,
        }
    }

    fn text(&self, value: Value) -> Option<&str> {
        match self.node(value)? {
            Node::Text(text) => Some(text),
            _ => None,
        }
    }

    fn tuple(&self, value: Value) -> Option<&[Value]> {
        match self.node(value)? {
            Node::Tuple(items) => Some(items),
            _ => None,
        }
    }

    fn dictionary(&self, value: Value) -> Option<&[(Value, Value)]> {
        match self.node(value)? {
            Node::Dictionary(entries) => Some(entries),
            _ => None,
        }
    }
}

fn size(value: Value) -> Option<u64> {
    match value {
        Value::Integer(number) => u64::try_from(number).ok(),
        _ => None,
    }
}
