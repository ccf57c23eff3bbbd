//! Compiles `proto/` without a system `protoc`.
//!
//! The encoded descriptor set is written beside the generated code. It is the one source for Envoy,
//! for reflection and for the tests, so it must keep the HTTP annotations: they are extensions,
//! which `prost_types` drops, hence the bytes come straight from protox.

use std::{
    env,
    error::Error,
    fs,
    path::{Path, PathBuf},
};

const PROTO_FILES: &[&str] = &[
    "tap/v1/api_keys.proto",
    "tap/v1/tags.proto",
    "tap/v1/tap_analytics.proto",
    "tap/v1/events.proto",
    "tap/v1/coupons.proto",
    "tap/v1/dialogs.proto",
    "tap/v1/imports.proto",
];

#[expect(clippy::disallowed_methods, reason = "how cargo tells where to write")]
fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=proto");

    let out = PathBuf::from(env::var("OUT_DIR")?);
    let descriptors = out.join("tap.binpb");
    let mut compiler = protox::Compiler::new(["proto"])?;
    compiler.include_imports(true).include_source_info(true).open_files(PROTO_FILES)?;
    fs::write(&descriptors, compiler.encode_file_descriptor_set())?;

    let configure = || {
        tonic_prost_build::configure()
            .extern_path(".google.rpc", "::tonic_types::pb")
            .extern_path(".google.api.HttpBody", "crate::proto::HttpBody")
            .extern_path(".google.protobuf.Value", "crate::proto::value::Value")
            .extern_path(".google.protobuf.ListValue", "crate::proto::value::ListValue")
            .extern_path(".google.protobuf.Struct", "crate::proto::value::Struct")
            // What a customer said is not for logs.
            .skip_debug([".tap.v1.RecordMessageRequest", ".tap.v1.DialogMessage"])
            // Nor is who somebody is.
            .skip_debug([
                ".tap.v1.UploadImportRequest",
                ".tap.v1.ImportCell",
                ".tap.v1.PatchImportRowRequest",
                ".tap.v1.ListUsersRequest",
                ".tap.v1.User",
            ])
            // In one order: a request that is repeated has the same bytes.
            .btree_map(".tap.v1.EventPatch")
            .btree_map(".tap.v1.NewCoupon")
            .btree_map(".tap.v1.Coupon")
            .btree_map(".tap.v1.CouponEdit")
            .btree_map(".tap.v1.PatchImportRowRequest")
            .file_descriptor_set_path(&descriptors)
            .skip_protoc_run()
    };
    configure().build_server(false).compile_protos(PROTO_FILES, &["proto"])?;
    // The server's side uses the same messages, but for the frames that one tap makes for many readers,
    // which are encoded once, and for batches, which are read with a bound.
    let server = out.join("server");
    fs::create_dir_all(&server)?;
    configure()
        .build_client(false)
        .out_dir(&server)
        .extern_path(".tap.v1", "crate::proto::tap_v1")
        .extern_path(".tap.v1.StreamTapsResponse", "crate::proto::Encoded")
        .extern_path(".tap.v1.RecordTapsRequest", "crate::proto::RecordBatch")
        .extern_path(".tap.v1.IngestTapsRequest", "crate::proto::IngestBatch")
        .extern_path(".tap.v1.StreamEventsResponse", "crate::proto::Encoded")
        .extern_path(".tap.v1.RecordEventsRequest", "crate::proto::EventBatch")
        .extern_path(".tap.v1.BatchCreateTagsRequest", "crate::proto::TagBatch")
        .extern_path(".tap.v1.BatchCreateCouponsRequest", "crate::proto::CouponBatch")
        .compile_protos(PROTO_FILES, &["proto"])?;
    page(&out.join("page"))?;
    Ok(())
}

/// Copies the page to where the program takes it from: what `web/` was built into, or, for who builds the
/// service alone, a page that says how to build it.
fn page(to: &Path) -> Result<(), Box<dyn Error>> {
    // What is missing counts as changed, each time.
    fs::create_dir_all("web/dist")?;
    println!("cargo::rerun-if-changed=web/dist");
    if to.exists() {
        fs::remove_dir_all(to)?;
    }
    let built = Path::new("web/dist");
    if built.join("index.html").exists() {
        return copy(built, to);
    }
    let text = "<!doctype html><title>tap-analytics</title><p>This program was built without its pages: run scripts/web.sh, then build it again.";
    for page in ["docs", "imports"] {
        fs::create_dir_all(to.join(page))?;
        fs::write(to.join(page).join("index.html"), text)?;
    }
    Ok(fs::write(to.join("index.html"), text)?)
}

fn copy(from: &Path, to: &Path) -> Result<(), Box<dyn Error>> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}
