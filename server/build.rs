fn main() {
    // `sqlx::migrate!` embeds the folder; cargo does not see new files in it by itself.
    println!("cargo::rerun-if-changed=migrations");
}
