//! GGUF files put together by hand, so that every byte of them can be wrong.

/// The parts of a file before they are joined.
#[derive(Clone)]
pub struct Raw {
    magic_and_version: Vec<u8>,
    key_count: u64,
    tensor_count: u64,
    keys: Vec<u8>,
    tensors: Vec<u8>,
    alignment: usize,
    data: usize,
}

pub fn raw() -> Raw {
    Raw {
        magic_and_version: b"GGUF\x03\0\0\0".to_vec(),
        key_count: 0,
        tensor_count: 0,
        keys: Vec::new(),
        tensors: Vec::new(),
        alignment: 32,
        data: 0,
    }
}

impl Raw {
    pub fn begins(mut self, magic_and_version: &[u8]) -> Raw {
        self.magic_and_version = magic_and_version.to_vec();
        self
    }

    /// Says another number of keys than there are.
    pub fn key_count(mut self, count: u64) -> Raw {
        self.key_count = count;
        self
    }

    /// Says another number of tensors than there are.
    pub fn tensor_count(mut self, count: u64) -> Raw {
        self.tensor_count = count;
        self
    }

    pub fn key(mut self, key: impl AsRef<[u8]>, value_type: u32, value: impl AsRef<[u8]>) -> Raw {
        self.key_count += 1;
        self.keys.extend(string(key));
        self.keys.extend(value_type.to_le_bytes());
        self.keys.extend(value.as_ref());
        self
    }

    /// Bytes among the keys, of no key.
    pub fn key_bytes(mut self, bytes: impl AsRef<[u8]>) -> Raw {
        self.keys.extend(bytes.as_ref());
        self
    }

    pub fn tensor(mut self, name: impl AsRef<[u8]>, shape: &[u64], tensor_type: u32, offset: u64) -> Raw {
        self.tensor_count += 1;
        self.tensors.extend(string(name));
        self.tensors.extend((shape.len() as u32).to_le_bytes());
        self.tensors.extend(shape.iter().flat_map(|size| size.to_le_bytes()));
        self.tensors.extend(tensor_type.to_le_bytes());
        self.tensors.extend(offset.to_le_bytes());
        self
    }

    /// Bytes among the tensors, of no tensor.
    pub fn tensor_bytes(mut self, bytes: impl AsRef<[u8]>) -> Raw {
        self.tensors.extend(bytes.as_ref());
        self
    }

    /// Sets `general.alignment`, in the key and in fact.
    pub fn aligned(mut self, alignment: u32) -> Raw {
        self.alignment = alignment as usize;
        self.key("general.alignment", 4, alignment.to_le_bytes())
    }

    /// Bytes of tensor data after the padding.
    pub fn data(mut self, bytes: usize) -> Raw {
        self.data = bytes;
        self
    }

    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = self.magic_and_version.clone();
        bytes.extend(self.tensor_count.to_le_bytes());
        bytes.extend(self.key_count.to_le_bytes());
        bytes.extend(&self.keys);
        bytes.extend(&self.tensors);
        if self.data > 0 {
            bytes.resize(bytes.len().next_multiple_of(self.alignment), 0);
            bytes.extend((0..self.data).map(|index| index as u8));
        }
        bytes
    }
}

pub fn string(bytes: impl AsRef<[u8]>) -> Vec<u8> {
    let bytes = bytes.as_ref();
    [&(bytes.len() as u64).to_le_bytes(), bytes].concat()
}

/// The start of an array: element type and count.
pub fn array(element_type: u32, count: u64) -> Vec<u8> {
    [&element_type.to_le_bytes()[..], &count.to_le_bytes()].concat()
}

/// A file with something of everything.
pub fn rich() -> Vec<u8> {
    let strings = [array(8, 3), string("a"), string(b"\xff\xfe"), string("")].concat();
    let nested = [array(9, 2), array(4, 1), 7u32.to_le_bytes().to_vec(), array(8, 1), string("deep")].concat();
    raw()
        .key("general.architecture", 8, string("llama"))
        .key("a.u8", 0, [200])
        .key("a.i8", 1, [0x80])
        .key("a.u16", 2, 60_000u16.to_le_bytes())
        .key("a.i16", 3, (-3i16).to_le_bytes())
        .key("a.u32", 4, 4_000_000_000u32.to_le_bytes())
        .key("a.i32", 5, (-4i32).to_le_bytes())
        .key("a.f32", 6, 0.5f32.to_le_bytes())
        .key("a.bool", 7, [1])
        .key("a.strings", 9, strings)
        .key("a.nested", 9, nested)
        .key("a.floats", 9, [array(6, 2), vec![0; 8]].concat())
        .key("a.u64", 10, u64::MAX.to_le_bytes())
        .key("a.i64", 11, i64::MIN.to_le_bytes())
        .key("a.f64", 12, 1e300f64.to_le_bytes())
        .aligned(64)
        .tensor("token_embd.weight", &[32, 3], 0, 0)
        .tensor("blk.0.attn_q.weight", &[64, 2], 2, 384)
        .tensor("scalar", &[], 0, 512)
        .tensor("output_norm.weight", &[5], 1, 576)
        .data(640)
        .bytes()
}
