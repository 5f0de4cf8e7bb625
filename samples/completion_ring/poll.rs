// SPDX-License-Identifier: GPL-2.0

//! `poll()` and `O_NONBLOCK` for misc devices, which the kernel's Rust abstraction lacks.

use core::marker::PhantomData;
use kernel::{
    bindings,
    fs::{
        file::flags::O_NONBLOCK,
        File,
        Kiocb, //
    },
    miscdevice::{
        MiscDevice,
        MiscDeviceOptions, //
    },
    sync::poll::PollTable,
    types::ForeignOwnable, //
};

/// There is something to read (C's `EPOLLIN | EPOLLRDNORM`).
pub(crate) const POLLIN: u32 = bindings::POLLIN | bindings::POLLRDNORM;
/// Nothing will come any more (C's `EPOLLHUP`).
pub(crate) const POLLHUP: u32 = bindings::POLLHUP;

/// A misc device with `poll()`; it calls [`add_poll`] in [`MiscDevice::open`].
pub(crate) trait Poll: MiscDevice {
    /// Registers the caller where it is to be woken, and says what is there already.
    fn poll(
        device: <Self::Ptr as ForeignOwnable>::Borrowed<'_>,
        file: &File,
        table: &PollTable<'_>,
    ) -> u32;
}

/// Gives an open file the operations of its misc device, and `poll()`.
///
/// To be called in [`MiscDevice::open`], for the file that is being opened.
// Tested by: test completion-ring.
pub(crate) fn add_poll<T: Poll>(file: &File) {
    // SAFETY: A file that is being opened is known to nobody else, and may be given other
    // operations (as `replace_fops()` in `include/linux/fs.h` does). These have the same owner as
    // those that `misc_open()` took a reference on.
    unsafe { (*file.as_ptr()).f_op = &Operations::<T>::TABLE };
}

struct Operations<T>(PhantomData<T>);

impl<T: Poll> Operations<T> {
    // Tested by: test completion-ring.
    const TABLE: bindings::file_operations = {
        let device = MiscDeviceOptions { name: c"" }.into_raw::<T>();
        // SAFETY: `into_raw` has set it to a reference to a constant.
        let mut operations = unsafe { *device.fops };

        operations.poll = Some(Self::poll);
        operations
    };

    /// # Safety
    ///
    /// `file` must be an open file of the misc device `T`, and `table` null or valid.
    // Tested by: test completion-ring.
    unsafe extern "C" fn poll(
        file: *mut bindings::file,
        table: *mut bindings::poll_table_struct,
    ) -> bindings::__poll_t {
        // SAFETY: The private data of an open file is what `T::open` returned.
        let device = unsafe { <T::Ptr as ForeignOwnable>::borrow((*file).private_data) };
        // SAFETY: The file is valid for this call, and `poll()` does not use its position.
        let file = unsafe { File::from_raw_file(file) };
        // SAFETY: The kernel passes null or a valid table.
        let table = unsafe { PollTable::from_raw(table) };

        T::poll(device, file, &table)
    }
}

/// Whether the file that is being read was opened with `O_NONBLOCK`.
// Tested by: test completion-ring.
pub(crate) fn is_nonblocking<T: ForeignOwnable>(kiocb: &Kiocb<'_, T>) -> bool {
    // SAFETY: The control block and its file are valid while the call lasts. Nobody uses the file's
    // position: the device has none.
    let file = unsafe { File::from_raw_file((*kiocb.as_raw()).ki_filp) };

    file.flags() & O_NONBLOCK != 0
}
