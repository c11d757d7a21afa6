//! The type of every tensor in every mix, against what llama.cpp chooses: a plain model, one of the kind of Llama 70B, one
//! whose embedding is the output too, and two of experts, one of them with rows that are not whole blocks.
//!
//! `generate_mixes.py` packs the facts.

use std::collections::HashMap;
use std::path::Path;

use ascua_convert::quantize::{FileType, Options, Plan};
use ascua_gguf::{Gguf, GgufWriter, Metadata, TensorSource, TensorType, Value};

/// A packed model.
#[derive(Default)]
struct Facts {
    metadata: Metadata,
    tensors: Vec<(String, Vec<u64>)>,
    mixes: Vec<Mix>,
}

struct Mix {
    file_type: FileType,
    usual: TensorType,
    others: HashMap<String, TensorType>,
}

/// The tensors of a line: `name` in each of the layers, which look like `0-3,7`, or by itself.
fn names(name: &str, layers: Option<&str>) -> Vec<String> {
    let Some(layers) = layers else { return vec![name.to_owned()] };
    let range = |part: &str| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        first.parse::<u32>().unwrap()..=last.parse().unwrap()
    };
    layers.split(',').flat_map(range).map(|layer| format!("blk.{layer}.{name}")).collect()
}

fn read(model: &str) -> Facts {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/data/mixes/{model}.txt"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut facts = Facts::default();
    let mut architecture = "";
    for line in text.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        match (words[0], words[1], words.get(2).copied()) {
            ("architecture", name, None) => {
                architecture = name;
                facts.metadata.insert("general.architecture", name);
            }
            ("tensor", name, Some(shape)) => {
                let shape: Vec<u64> = shape.split('x').map(|size| size.parse().unwrap()).collect();
                let names = names(name, words.get(3).copied());
                facts.tensors.extend(names.into_iter().map(|name| (name, shape.clone())));
            }
            ("mix", name, Some(usual)) => {
                let (file_type, usual) = (name.parse().unwrap(), usual.parse().unwrap());
                facts.mixes.push(Mix { file_type, usual, others: HashMap::new() });
            }
            (name, other, layers) => match facts.mixes.last_mut() {
                Some(mix) => {
                    mix.others.extend(names(name, layers).into_iter().map(|name| (name, other.parse().unwrap())))
                }
                None => {
                    drop(facts.metadata.insert(format!("{architecture}.{name}"), Value::U32(other.parse().unwrap())))
                }
            },
        }
    }
    facts
}

fn check(model: &str) {
    let facts = read(model);
    let mut writer = GgufWriter::new(facts.metadata);
    for (name, shape) in &facts.tensors {
        let nothing = TensorSource::stream(|_| Ok(()));
        writer.add(name, shape.as_slice(), TensorType::F16, nothing).unwrap();
    }
    let mut header = Vec::new();
    writer.write_header_to(&mut header).unwrap();
    let gguf = Gguf::header_from_bytes(header).unwrap();
    assert!(facts.mixes.len() > 30 && facts.tensors.len() > 100, "{model}: facts are missing");
    for Mix { file_type, usual, others } in &facts.mixes {
        let plan = Plan::new(&gguf, Options::new(*file_type)).unwrap();
        assert_eq!(plan.tensors.len(), facts.tensors.len(), "{model}: {file_type}");
        for tensor in &plan.tensors {
            let (name, found) = (&tensor.target.name, tensor.target.tensor_type);
            assert_eq!(found, *others.get(name).unwrap_or(usual), "{model}, {file_type}: {name}");
        }
    }
}

#[test]
fn every_mix_gives_every_tensor_the_type_llama_cpp_gives_it() {
    ["qwen3-0.6b", "meta-llama-3.1-70b-instruct", "gemma-3-4b-it", "gpt-oss-120b", "glm-4.6v"]
        .into_iter()
        .for_each(check);
}
