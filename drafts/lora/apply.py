import re
def edit(p, *pairs):
    s=open(p).read()
    for a,b in pairs:
        assert a in s, (p,a)
        s=s.replace(a,b,1)
    open(p,'w').write(s)
import shutil
shutil.copy('drafts/lora/adapter.rs','crates/models/src/adapter.rs')
shutil.copy('drafts/lora/test.rs','crates/ascua/tests/adapters.rs')
edit('crates/models/src/builder.rs',
("    /// All names in the file.\n    fn names(&self) -> Vec<String>;\n","""    /// All names in the file.
    fn names(&self) -> Vec<String>;

    /// What adapters add to the product with a weight.
    fn low_rank(&self, _weight: &str) -> Vec<LowRankTensors<'_>> {
        Vec::new()
    }
"""),
("use crate::error::ModelError;\n","use crate::adapter::{AdapterTensor, LowRankTensors};\nuse crate::error::ModelError;\n"),
("use ascua_graph::{Graph, Op,","use ascua_graph::ops::MatMul;\nuse ascua_graph::{Graph, Op,"),
("/// Records a model.\npub struct GraphBuilder","""/// What an adapter adds to the product with a weight: `factor * up(down(x))`.
#[derive(Clone)]
pub struct LowRank {
    /// `[columns, rank]`
    pub down: MatMul,
    /// `[rank, rows]`
    pub up: MatMul,
    /// Factor on the product.
    pub factor: f32,
}

/// Records a model.
pub struct GraphBuilder"""),
("    /// Whether the file has a tensor.\n","""    /// What adapters add to the product with `weight`, `[columns, rows]`.
    ///
    /// # Errors
    /// A tensor of theirs has a shape that does not fit the weight's.
    pub fn low_rank(&mut self, weight: &str, (columns, rows): (usize, usize)) -> Result<Vec<LowRank>, ModelError> {
        let catalogue = self.catalogue;
        let mut all = Vec::new();
        for LowRankTensors { down, up, factor } in catalogue.low_rank(weight) {
            let rank = up.info.shape.first().map_or(1, |rank| *rank as usize);
            let down = MatMul::new(self.take(&down, &[columns, rank])?);
            let up = MatMul::new(self.take(&up, &[rank, rows])?);
            all.push(LowRank { down, up, factor });
        }
        Ok(all)
    }

    fn take(&mut self, tensor: &AdapterTensor<'_>, shape: &[usize]) -> Result<WeightId, ModelError> {
        self.weight(&tensor.name, tensor.info.shape.clone(), tensor.info.tensor_type, shape)
    }

    /// Whether the file has a tensor.
"""),
("""        let Some((found, tensor_type)) = self.catalogue.find(name, shape, necessity) else { return Ok(None) };
""","""        let Some((found, tensor_type)) = self.catalogue.find(name, shape, necessity) else { return Ok(None) };
        self.weight(name, found, tensor_type, shape).map(Some)
    }

    /// A tensor of the graph, if the shape is the wanted one.
    fn weight(
        &mut self,
        name: &str,
        found: Vec<u64>,
        tensor_type: TensorType,
        shape: &[usize],
    ) -> Result<WeightId, ModelError> {
"""),
("        Ok(Some(self.graph.weight(name, shape, tensor_type)))","        Ok(self.graph.weight(name, shape, tensor_type))"))
edit('crates/models/src/catalogue.rs',
("pub struct FileCatalogue<'a> {\n    file: &'a Gguf,\n","pub struct FileCatalogue<'a> {\n    file: &'a Gguf,\n    adapters: &'a [Adapter],\n"),
("        FileCatalogue { file }\n    }\n","""        FileCatalogue { file, adapters: &[] }
    }

    /// The tensors of `file`, and what `adapters` add to them.
    pub fn with_adapters(file: &'a Gguf, adapters: &'a [Adapter]) -> FileCatalogue<'a> {
        FileCatalogue { file, adapters }
    }
"""),
("        self.file.tensors().iter().map(|tensor| tensor.name.clone()).collect()\n    }\n","""        let of_adapters = self.adapters.iter().enumerate().flat_map(|(index, adapter)| adapter.names(index));
        self.file.tensors().iter().map(|tensor| tensor.name.clone()).chain(of_adapters).collect()
    }

    fn low_rank(&self, weight: &str) -> Vec<LowRankTensors<'_>> {
        self.adapters.iter().enumerate().filter_map(|(index, adapter)| adapter.low_rank(index, weight)).collect()
    }
"""),
("use crate::builder::","use crate::adapter::{Adapter, LowRankTensors};\nuse crate::builder::"))
edit('crates/models/src/error.rs',
("    /// The recorded graph does not fit together.","""    /// A LoRA adapter cannot be used.
    #[error(transparent)]
    Adapter(#[from] crate::adapter::AdapterError),
    /// The recorded graph does not fit together."""))
edit('crates/models/src/blocks/linear.rs',
("//! A product with a named weight, its optional bias and factor.","//! A product with a named weight, its optional bias and factor, and what adapters add to it."),
("use ascua_graph::ops::{MatMul, Scaled};","use ascua_graph::ops::{Add, MatMul, Scale, Scaled};"),
("use crate::builder::GraphBuilder;","use crate::builder::{GraphBuilder, LowRank};"),
("    product: MatMul,\n}","    product: MatMul,\n    low_rank: Vec<LowRank>,\n}"),
("        Ok(Linear { product: MatMul { weight, bias, scale, scaled } })","""        let low_rank = builder.low_rank(&format!("{name}.weight"), (columns, rows))?;
        Ok(Linear { product: MatMul { weight, bias, scale, scaled }, low_rank })"""),
("        builder.record(self.product.clone(), &[x])\n","""        let mut sum = builder.record(self.product.clone(), &[x])?;
        for LowRank { down, up, factor } in &self.low_rank {
            let narrow = builder.record(down.clone(), &[x])?; // [tokens, rank]
            let narrow = builder.record(Scale { factor: *factor }, &[narrow])?;
            let added = builder.record(up.clone(), &[narrow])?; // [tokens, rows]
            sum = builder.record(Add, &[sum, added])?;
        }
        Ok(sum)
"""))
s=open('crates/models/src/lib.rs').read(); print(s)
edit('crates/engine/src/engine.rs',
("    file: Gguf,\n    config: ModelConfig,\n}","    file: Gguf,\n    config: ModelConfig,\n    adapters: Vec<Adapter>,\n}"),
("        Ok(ModelFile { file, config })\n    }\n","""        Ok(ModelFile { file, config, adapters: Vec::new() })
    }

    /// The same model with LoRA adapters beside its weights.
    ///
    /// # Errors
    /// An adapter is for another architecture.
    pub fn with_adapters(self, adapters: Vec<Adapter>) -> Result<ModelFile, EngineError> {
        for adapter in &adapters {
            adapter.check_architecture(&self.config.architecture).map_err(ModelError::from)?;
        }
        Ok(ModelFile { adapters, ..self })
    }
"""),
("&FileCatalogue::new(&self.file))?)","&FileCatalogue::with_adapters(&self.file, &self.adapters))?)"),
("            let tensor = self.file.tensor(&spec.name);\n","""            if let Some(data) = adapter_data(&self.adapters, &spec.name) {
                return Ok(WeightSource { spec: spec.clone(), data });
            }
            let tensor = self.file.tensor(&spec.name);
"""),
("use ascua_models::{FileCatalogue,","use ascua_models::{Adapter, adapter_data, FileCatalogue,"))
edit('crates/ascua/src/model.rs',
("    /// Pre-tokenizer to use instead of the one the file names.\n    pub pre_tokenizer: Option<String>,\n}","""    /// Pre-tokenizer to use instead of the one the file names.
    pub pre_tokenizer: Option<String>,
    /// LoRA adapters to use beside the weights.
    pub adapters: Vec<AdapterFile>,
}

/// A LoRA adapter to be opened.
#[derive(Clone, Debug, PartialEq)]
pub struct AdapterFile {
    /// The GGUF file.
    pub path: PathBuf,
    /// How strongly it counts; 1 as it was trained.
    pub scale: f32,
}"""),
("            pre_tokenizer: None,\n        }","            pre_tokenizer: None,\n            adapters: Vec::new(),\n        }"),
("        let file = ModelFile::new(file)?;\n        let isa","        let file = ModelFile::new(file)?.with_adapters(adapters(&options.adapters)?)?;\n        let isa"),
("/// The largest context up to","""/// The adapters of these files.
fn adapters(files: &[AdapterFile]) -> Result<Vec<Adapter>, Error> {
    let open = |file: &AdapterFile| {
        let opened = Adapter::new(Gguf::open(&file.path)?, file.scale);
        opened.map_err(|source| Error::Adapter { path: file.path.clone(), source })
    };
    files.iter().map(open).collect()
}

/// The largest context up to"""),
("use std::path::Path;","use std::path::{Path, PathBuf};"),
("use ascua_graph::{MemoryPlan, Precision};","use ascua_graph::{MemoryPlan, Precision};\nuse ascua_models::Adapter;"))
edit('crates/ascua/src/error.rs',
("    /// The device failed.","""    /// A file is no usable LoRA adapter.
    #[error("{}: {source}", path.display())]
    Adapter {
        /// The file.
        path: std::path::PathBuf,
        /// What is wrong with it.
        source: ascua_models::AdapterError,
    },
    /// The device failed."""))
