//! The only names a pickle may ask for: what describes tensors.

use super::super::DType;

/// Something a pickle names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Global {
    /// Makes a tensor of a storage, an offset, a shape and strides, and perhaps a type.
    RebuildTensor,
    /// Makes a parameter of a tensor: the same tensor.
    RebuildParameter,
    /// A dictionary.
    OrderedDict,
    /// A tuple that is a shape.
    Size,
    /// The class of a storage, or a type; `None` for one that is not read, such as of complex numbers.
    Type(Option<DType>),
    /// A storage whose type the tensor tells.
    Untyped,
}

/// Storages and types by PyTorch's names.
const TYPES: [(&str, &str, DType); 15] = [
    ("DoubleStorage", "float64", DType::F64),
    ("FloatStorage", "float32", DType::F32),
    ("HalfStorage", "float16", DType::F16),
    ("BFloat16Storage", "bfloat16", DType::BF16),
    ("LongStorage", "int64", DType::I64),
    ("IntStorage", "int32", DType::I32),
    ("ShortStorage", "int16", DType::I16),
    ("CharStorage", "int8", DType::I8),
    ("ByteStorage", "uint8", DType::U8),
    ("BoolStorage", "bool", DType::Bool),
    ("", "uint64", DType::U64),
    ("", "uint32", DType::U32),
    ("", "uint16", DType::U16),
    ("", "float8_e4m3fn", DType::F8E4M3),
    ("", "float8_e5m2", DType::F8E5M2),
];

/// What a module and a name stand for; nothing for what tensors do not need.
pub(super) fn find(module: &str, name: &str) -> Option<Global> {
    match (module, name) {
        ("torch._utils", "_rebuild_tensor" | "_rebuild_tensor_v2" | "_rebuild_tensor_v3") => {
            Some(Global::RebuildTensor)
        }
        ("torch._utils", "_rebuild_parameter") => Some(Global::RebuildParameter),
        ("collections", "OrderedDict") => Some(Global::OrderedDict),
        ("torch", "Size") => Some(Global::Size),
        ("torch" | "torch.storage", "UntypedStorage") => Some(Global::Untyped),
        ("torch", name) => {
            let known = TYPES.iter().find(|(storage, dtype, _)| *storage == name || *dtype == name);
            let other = name.ends_with("Storage") || name.starts_with("complex") || name.starts_with("float8");
            known.map(|&(.., dtype)| Global::Type(Some(dtype))).or(other.then_some(Global::Type(None)))
        }
        _ => None,
    }
}
