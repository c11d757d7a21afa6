//! What a template may keep: values of limited size and depth, in variables and in `namespace()` objects.
//!
//! minijinja's own namespace can be stored in itself, and its lists may be nested a hundred thousand deep, share their
//! parts so that their text is exponentially long, or be sums computed on demand; printing, comparing or dropping such
//! values overflows the stack or takes all memory, which its fuel does not cover. So a value that is kept is visited here
//! first, at a price for each part. Namespaces take data only. minijinja reserves `{% set ns.name = value %}` for its own
//! kind, so `dialect` rewrites that statement to a call of the method [`SET`], and other assignments to [`KEEP`].

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use minijinja::value::{Enumerator, Kwargs, Object, Tuple, ValueKind, from_args};
use minijinja::{Error, ErrorKind, State, Value};

/// The method that stores a value.
pub(crate) const SET: &str = "__set__";

/// The function through which values pass on their way into variables.
pub(crate) const KEEP: &str = "__keep__";

/// How deep a stored value may be nested; what templates store are texts, numbers, messages and tool definitions.
const MAX_DEPTH: usize = 64;

/// The function `namespace`.
pub(crate) fn namespace(state: &State, defaults: Option<Value>, named: Kwargs) -> Result<Value, Error> {
    let namespace = Namespace::default();
    if let Some(defaults) = defaults {
        for name in defaults.try_iter()? {
            namespace.store(state, &name, defaults.get_item(&name)?)?;
        }
    }
    for name in named.args() {
        namespace.store(state, &Value::from(name), named.get(name)?)?;
    }
    named.assert_all_used()?;
    Ok(Value::from_object(namespace))
}

#[derive(Debug, Default)]
struct Namespace {
    values: Mutex<BTreeMap<Arc<str>, Value>>,
}

impl Namespace {
    fn values(&self) -> MutexGuard<'_, BTreeMap<Arc<str>, Value>> {
        self.values.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn store(&self, state: &State, name: &Value, value: Value) -> Result<(), Error> {
        let name = name.to_str().ok_or_else(|| invalid("a name in a namespace must be a text"))?;
        let value = visit(state, &value, 0, Kept::InNamespace)?.unwrap_or(value);
        self.values().insert(name, value);
        Ok(())
    }
}

impl Object for Namespace {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.values().get(key.as_str()?).cloned()
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Values(self.values().keys().cloned().map(Value::from).collect())
    }

    fn call_method(self: &Arc<Self>, state: &mut State, method: &str, arguments: &[Value]) -> Result<Value, Error> {
        if method != SET {
            return Err(Error::from(ErrorKind::UnknownMethod));
        }
        let (name, value): (&Value, Value) = from_args(arguments)?;
        self.store(state, name, value)?;
        Ok(Value::UNDEFINED)
    }
}

fn invalid(message: &'static str) -> Error {
    Error::new(ErrorKind::InvalidOperation, message)
}

/// The function [`KEEP`].
pub(crate) fn keep(state: &State, value: Value) -> Result<Value, Error> {
    visit(state, &value, 0, Kept::InVariable).map(|changed| changed.unwrap_or(value))
}

/// Fails if a value is too large or too deep to be turned to text.
pub(crate) fn ensure_printable(state: &State, value: &Value) -> Result<(), Error> {
    visit(state, value, 0, Kept::InVariable).map(drop)
}

#[derive(Clone, Copy, PartialEq)]
enum Kept {
    InVariable,
    InNamespace,
}

/// Pays for all parts of a value; what is computed on demand is computed now, and the result returned.
fn visit(state: &State, value: &Value, depth: usize, kept: Kept) -> Result<Option<Value>, Error> {
    if value.downcast_object_ref::<Namespace>().is_some() {
        // In a variable it is a reference, and what it holds has been visited.
        return match (kept, depth) {
            (Kept::InVariable, 0) => Ok(None),
            _ => Err(invalid("a namespace cannot be stored in a namespace, list or dict")),
        };
    }
    if depth > MAX_DEPTH {
        return Err(invalid("a value is nested too deeply"));
    }
    match value.kind() {
        ValueKind::Seq | ValueKind::Iterable => {
            let is_list = value.downcast_object_ref::<Vec<Value>>().is_some();
            let is_plain = is_list || value.downcast_object_ref::<Tuple>().is_some();
            let mut items = Vec::new();
            let mut changed = !is_plain;
            for item in value.try_iter()? {
                state.consume_fuel(1)?;
                let new = visit(state, &item, depth + 1, kept)?;
                changed |= new.is_some();
                items.push(new.unwrap_or(item));
            }
            Ok(changed.then(|| Value::from(items)))
        }
        ValueKind::Map => {
            let mut items = Vec::new();
            let mut changed = false;
            for key in value.try_iter()? {
                state.consume_fuel(1)?;
                visit(state, &key, depth + 1, kept)?;
                let item = value.get_item(&key)?;
                let new = visit(state, &item, depth + 1, kept)?;
                changed |= new.is_some();
                items.push((key, new.unwrap_or(item)));
            }
            Ok(changed.then(|| Value::from_pairs(items)))
        }
        ValueKind::Plain if kept == Kept::InNamespace => Err(invalid("only data can be stored in a namespace")),
        _ => Ok(None),
    }
}
