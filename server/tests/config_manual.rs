//! The manual's page is the table's text. `OXKEEPER_BLESS=1` writes it anew.

use std::path::PathBuf;

use oxkeeper_server::config::table;

#[test]
fn the_manual_is_that_of_the_table() {
    let page = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/configuration.md");
    let rendered = table::render_markdown();
    if std::env::var_os("OXKEEPER_BLESS").is_some() {
        std::fs::create_dir_all(page.parent().expect("a directory")).expect("docs");
        std::fs::write(&page, &rendered).expect("write the manual");
    }
    let written = std::fs::read_to_string(&page).expect("docs/configuration.md");
    assert!(written == rendered, "docs/configuration.md is stale: run OXKEEPER_BLESS=1 cargo test -p oxkeeper-server --test config_manual");
}
