//! `synodctl log repair`.

use std::path::Path;

use serde_json::json;
use synod::log::{OpenError, Scrubbed, scrub};
use synod::vfs::StdVfs;

use crate::out::Out;

/// Mends what can be; says whether nothing is left to mend.
pub(crate) fn repair(dir: &Path, is_dry: bool, out: &mut Out) -> Result<bool, String> {
    let (mut mended, mut left) = (0_u64, 0_u64);
    let done = scrub(&StdVfs, dir, is_dry, &mut |found: Scrubbed| {
        let Scrubbed { path, offset, bad_places, lost_values } = found;
        let is_mended = lost_values == 0;
        if is_mended {
            mended += bad_places;
        } else {
            left += lost_values;
        }
        out.say(
            || {
                let path = path.display();
                match (is_mended, is_dry) {
                    (true, true) => {
                        format!("{path} at {offset}: {bad_places} bad, a good copy is left")
                    }
                    (true, false) => format!("{path} at {offset}: {bad_places} bad, written again"),
                    (false, _) => format!(
                        "{path} at {offset}: {lost_values} values lost in every copy: they are \
                         learned again from the peers at the next start"
                    ),
                }
            },
            || {
                json!({"file": path, "offset": offset, "bad_places": bad_places,
                    "lost_values": lost_values, "written": is_mended && !is_dry})
            },
        );
    });
    let damage = match done {
        Ok(()) => None,
        Err(error @ OpenError::Damaged { .. }) => Some(error.to_string()),
        Err(error) => return Err(error.to_string()),
    };
    if let Some(damage) = &damage {
        out.say(|| damage.clone(), || json!({"damage": damage}));
    }
    let verb = if is_dry { "can be written again" } else { "written again" };
    out.say(
        || format!("{mended} bad places {verb}, {left} values lost in every copy"),
        || json!({"mended": mended, "lost_values": left, "dry_run": is_dry}),
    );
    Ok(left == 0 && damage.is_none())
}
