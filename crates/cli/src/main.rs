//! PROGRAM: the `ascua` command; one file per subcommand under `commands/`.

fn main() {
    println!("ascua {}", env!("CARGO_PKG_VERSION"));
}
