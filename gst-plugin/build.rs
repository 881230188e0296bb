//! Records the version and commit for the plugin's registry entry.

fn main() {
    gst_plugin_version_helper::info()
}
