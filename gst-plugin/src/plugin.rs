//! The plugin's entry points, as GStreamer's macro writes them.
#![expect(missing_docs, reason = "the macro's items have no docs")]

use crate::{divienenc, scenes};

fn plugin_init(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    scenes::register(plugin)?;
    divienenc::register(plugin)
}

gst::plugin_define!(
    divien,
    env!("CARGO_PKG_DESCRIPTION"),
    plugin_init,
    concat!(env!("CARGO_PKG_VERSION"), "-", env!("COMMIT_ID")),
    "MIT/X11",
    env!("CARGO_PKG_NAME"),
    env!("CARGO_PKG_NAME"),
    "https://github.com/divien/divien",
    env!("BUILD_REL_DATE")
);
