//! Compiles `proto/` without a system `protoc`.
//!
//! The encoded descriptor set is written beside the generated code. It is the one source for Envoy,
//! for reflection and for the tests, so it must keep the HTTP annotations: they are extensions,
//! which `prost_types` drops, hence the bytes come straight from protox.

use std::{env, error::Error, fs, path::PathBuf};

const PROTO_FILES: &[&str] = &["tap/v1/tap_analytics.proto"];

#[expect(clippy::disallowed_methods, reason = "how cargo tells where to write")]
fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=proto");

    let descriptors = PathBuf::from(env::var("OUT_DIR")?).join("tap.binpb");
    let mut compiler = protox::Compiler::new(["proto"])?;
    compiler.include_imports(true).include_source_info(true).open_files(PROTO_FILES)?;
    fs::write(&descriptors, compiler.encode_file_descriptor_set())?;

    tonic_prost_build::configure()
        .build_client(true)
        .extern_path(".google.rpc", "::tonic_types::pb")
        .file_descriptor_set_path(&descriptors)
        .skip_protoc_run()
        .compile_protos(PROTO_FILES, &["proto"])?;
    Ok(())
}
