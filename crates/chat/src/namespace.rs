//! `namespace()`: the one kind of object that a template can change.
//!
//! minijinja's own would let a template store a namespace in itself, or nest lists a hundred thousand deep, and then
//! overflow the stack when such a value is printed, compared or dropped. This one takes data only, to a limited depth,
//! and no namespaces. minijinja reserves `{% set ns.name = value %}` for its own kind, so `dialect` rewrites that
//! statement to a call of the method [`SET`].

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use minijinja::value::{Enumerator, Kwargs, Object, Tuple, ValueKind, from_args};
use minijinja::{Error, ErrorKind, State, Value};

/// The method that stores a value.
pub(crate) const SET: &str = "__set__";

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
        let value = plain_data(state, value, 0)?;
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

/// Checks that a value is data of limited depth; what is computed on demand is computed now.
fn plain_data(state: &State, value: Value, depth: usize) -> Result<Value, Error> {
    if value.downcast_object_ref::<Namespace>().is_some() {
        return Err(invalid("a namespace cannot be stored in a namespace"));
    }
    if depth > MAX_DEPTH {
        return Err(invalid("a value stored in a namespace is nested too deeply"));
    }
    match value.kind() {
        ValueKind::Seq | ValueKind::Iterable => {
            let is_list = value.downcast_object_ref::<Vec<Value>>().is_some();
            let is_plain = is_list || value.downcast_object_ref::<Tuple>().is_some();
            let mut items = Vec::new();
            for item in value.try_iter()? {
                state.consume_fuel(1)?;
                let item = plain_data(state, item, depth + 1)?;
                if !is_plain {
                    items.push(item);
                }
            }
            Ok(if is_plain { value } else { Value::from(items) })
        }
        ValueKind::Map => {
            for key in value.try_iter()? {
                state.consume_fuel(1)?;
                plain_data(state, value.get_item(&key)?, depth + 1)?;
                plain_data(state, key, depth + 1)?;
            }
            Ok(value)
        }
        ValueKind::Plain => Err(invalid("only data can be stored in a namespace")),
        _ => Ok(value),
    }
}
