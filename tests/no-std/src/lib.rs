//! Links `synod-core` without the standard library. If anything below core pulls `std` in, this
//! fails to build with "duplicate lang item": the panic handler exists twice.
#![no_std]

extern crate alloc;

use core::alloc::{GlobalAlloc, Layout};
use core::panic::PanicInfo;

struct NoMemory;

// SAFETY: handing out no memory at all is allowed, and nothing that was not handed out comes back.
unsafe impl GlobalAlloc for NoMemory {
    unsafe fn alloc(&self, _: Layout) -> *mut u8 {
        core::ptr::null_mut()
    }

    unsafe fn dealloc(&self, _: *mut u8, _: Layout) {}
}

#[global_allocator]
static NO_MEMORY: NoMemory = NoMemory;

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    loop {}
}

/// Uses enough of core to link it.
#[unsafe(no_mangle)]
pub extern "C" fn synod_no_std(group: &mut synod_core::Group, out: &mut synod_core::Outbox) {
    group.step(synod_core::Time::ZERO, synod_core::Input::Tick, out);
}

/// Marks count for the simulator only. Were anything left of them here, this would not compile:
/// there is no such mark, and no such function.
const _: u32 = {
    synod_core::mark!(NO_SUCH_MARK if no_such_function());
    synod_core::marks! { NO_SUCH_MARK = "nothing"; }
    7
};
