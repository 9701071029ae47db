//! The first process of an instance whose function requests an init (`sampan:init`): it runs the
//! image's program as its child, forwards signals to it, reaps zombies, and exits with the
//! program's status, or with 128 and the signal's number if a signal killed it.
//!
//! `init SCORE PROGRAM ARGUMENT…`; the score is the out-of-memory adjustment (oom_score_adj). A
//! program by name is looked up on `PATH`. It is not part of the crate: `build.rs` compiles it to a
//! static program that needs no file of the image, 1 page of memory beside its stack, and system
//! calls alone. No other code of the platform runs in an instance.
#![no_std]
#![no_main]
// Keeps the compiler from turning a loop over a text into a call of a C library's `strlen`.
#![no_builtins]

use core::arch::{asm, global_asm};
use core::mem::MaybeUninit;
use core::panic::PanicInfo;
use core::ptr::null;

const WRITE_ONLY: usize = 1;
/// Paths begin at the working directory (-100).
const AT_FDCWD: usize = -100_isize as usize;
const SIG_BLOCK: usize = 0;
const SIG_SETMASK: usize = 2;
const SIGINT: isize = 2;
const SIGQUIT: isize = 3;
const SIGTERM: isize = 15;
const SIGCHLD: usize = 17;
const NO_HANG: usize = 1;
const SET_NAME: usize = 15;
const ENOENT: isize = -2;
const EACCES: isize = -13;
const ENOTDIR: isize = -20;
/// Signals for this process itself, which are not forwarded: ILL, TRAP, ABRT, BUS, FPE, SEGV, TTIN,
/// TTOU, SYS (tini's list).
const OWN_SIGNALS: u64 = 1 << 3 | 1 << 4 | 1 << 5 | 1 << 6 | 1 << 7 | 1 << 10 | 1 << 20 | 1 << 21 | 1 << 30;
/// Bytes of the longest path that the kernel accepts.
const PATH_BYTES_MAX: usize = 4096;
const DEFAULT_PATH: &[u8] = b"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\0";

mod numbers;

#[cfg(target_arch = "x86_64")]
const NUMBERS: numbers::Numbers = numbers::X86_64;
#[cfg(target_arch = "aarch64")]
const NUMBERS: numbers::Numbers = numbers::AARCH64;
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
compile_error!(
    "the init program needs for this architecture: the numbers of its calls (init/numbers.rs), `_start`, which calls `main` \
     with the stack that the kernel left, and `call`, one system call of four arguments (init/init.rs)"
);

// The kernel places the arguments at the start of the stack (System V ABI for x86-64, 3.4.1; the
// same on aarch64, AAPCS64).
#[cfg(target_arch = "x86_64")]
global_asm!(".globl _start", "_start:", "xor ebp, ebp", "mov rdi, rsp", "and rsp, -16", "call {main}", "ud2", main = sym main);
#[cfg(target_arch = "aarch64")]
global_asm!(".globl _start", "_start:", "mov x29, xzr", "mov x30, xzr", "mov x0, sp", "bl {main}", "brk #1", main = sym main);

/// A system call of four arguments.
///
/// # Safety
/// The arguments must be valid for the call.
#[cfg(target_arch = "x86_64")]
unsafe fn call(number: usize, a: usize, b: usize, c: usize, d: usize) -> isize {
    let result;
    // SAFETY: `syscall` changes rcx, r11 and the result; memory as the call says.
    unsafe {
        asm!("syscall", inlateout("rax") number as isize => result, in("rdi") a, in("rsi") b, in("rdx") c, in("r10") d,
            lateout("rcx") _, lateout("r11") _, options(nostack));
    }
    result
}

/// A system call of four arguments.
///
/// # Safety
/// The arguments must be valid for the call.
#[cfg(target_arch = "aarch64")]
unsafe fn call(number: usize, a: usize, b: usize, c: usize, d: usize) -> isize {
    let result;
    // SAFETY: `svc` changes x0 alone; memory as the call says.
    unsafe {
        asm!("svc #0", in("x8") number, inlateout("x0") a as isize => result, in("x1") b, in("x2") c, in("x3") d,
            in("x4") 0, options(nostack));
    }
    result
}

/// # Safety
/// `stack` must point to the kernel's arguments.
unsafe extern "C" fn main(stack: *const usize) -> ! {
    // SAFETY: the number of arguments, the arguments and a null, the environment and a null.
    let (arguments, environment) = unsafe {
        let count = *stack;
        (stack.add(1).cast::<*const u8>(), stack.add(count + 2).cast::<*const u8>())
    };
    // SAFETY: what is passed are terminated texts, numbers, and locals of the sizes given.
    unsafe {
        if *stack < 3 {
            exit(125);
        }
        call(NUMBERS.prctl, SET_NAME, c"init".as_ptr() as usize, 0, 0);
        set_score(*arguments.add(1));
        let blocked = !OWN_SIGNALS;
        call(NUMBERS.sigprocmask, SIG_BLOCK, &raw const blocked as usize, 0, 8);
        // As fork(2) does: some architectures have no separate call for it. The fifth argument is
        // unused without the flags that need it.
        match call(NUMBERS.clone, SIGCHLD, 0, 0, 0) {
            0 => run(arguments.add(2), environment),
            child if child > 0 => exit(serve(child, blocked)),
            _ => exit(125),
        }
    }
}

/// Sets the out-of-memory score, which later children inherit.
///
/// # Safety
/// `score` must be a terminated text.
unsafe fn set_score(score: *const u8) {
    // SAFETY: the path is terminated, and the text as long as it is.
    unsafe {
        let file = call(NUMBERS.openat, AT_FDCWD, c"/proc/self/oom_score_adj".as_ptr() as usize, WRITE_ONLY, 0);
        if file >= 0 {
            call(NUMBERS.write, file as usize, score as usize, length(score), 0);
            call(NUMBERS.close, file as usize, 0, 0, 0);
        }
    }
}

/// Forwards signals to the child's process group until the child has ended; returns the exit code.
/// After a forwarded termination signal, it also waits for the other processes: behind a shell
/// without a trap, the shell ends first.
unsafe fn serve(child: isize, signals: u64) -> usize {
    let (mut status, mut is_asked) = (None, false);
    loop {
        // SAFETY: the set is a local of eight bytes; only the signal's number is requested.
        let signal = unsafe { call(NUMBERS.sigtimedwait, &raw const signals as usize, 0, 0, 8) };
        if signal == SIGCHLD as isize {
            // SAFETY: as for this function.
            let is_last = unsafe { reap(child, &mut status) };
            if let Some(status) = status.filter(|_| is_last || !is_asked) {
                return status;
            }
        } else if signal > 0 {
            is_asked |= matches!(signal, SIGINT | SIGQUIT | SIGTERM);
            // SAFETY: the call takes numbers. Before the child has created its group, the signal is
            // sent to the child alone.
            unsafe {
                if call(NUMBERS.kill, (-child) as usize, signal as usize, 0, 0) < 0 {
                    call(NUMBERS.kill, child as usize, signal as usize, 0, 0);
                }
            }
        }
    }
}

/// Reaps all ended processes, and stores the child's status if it is among them; true when no
/// process is left.
unsafe fn reap(child: isize, ended: &mut Option<usize>) -> bool {
    loop {
        let mut status = 0_u32;
        // SAFETY: the status is a local of four bytes.
        let pid = unsafe { call(NUMBERS.wait4, usize::MAX, &raw mut status as usize, NO_HANG, 0) };
        if pid <= 0 {
            return pid < 0;
        }
        if pid == child {
            let signal = status & 0x7f;
            *ended = Some(if signal == 0 { (status >> 8) & 0xff } else { 128 + signal } as usize);
        }
    }
}

/// Executes the program.
///
/// # Safety
/// Both must be arrays of terminated texts that end in null.
unsafe fn run(arguments: *const *const u8, environment: *const *const u8) -> ! {
    // SAFETY: as above; the set is a local of eight bytes.
    unsafe {
        call(NUMBERS.setsid, 0, 0, 0, 0);
        let none = 0_u64;
        call(NUMBERS.sigprocmask, SIG_SETMASK, &raw const none as usize, 0, 8);
        let program = *arguments;
        let name = core::slice::from_raw_parts(program, length(program));
        let error = if name.iter().any(|byte| *byte == b'/') {
            call(NUMBERS.execve, program as usize, arguments as usize, environment as usize, 0)
        } else {
            search(name, arguments, environment)
        };
        for text in [&b"init: cannot execute "[..], name, reason(error), b"\n"] {
            call(NUMBERS.write, 2, text.as_ptr() as usize, text.len(), 0);
        }
        exit(if matches!(error, ENOENT | ENOTDIR) { 127 } else { 126 })
    }
}

/// Tries the program in each directory of `PATH`, as `execvp` does; returns the most informative
/// error.
///
/// # Safety
/// As for [`run`].
unsafe fn search(name: &[u8], arguments: *const *const u8, environment: *const *const u8) -> isize {
    let mut worst = ENOENT;
    let mut file = [const { MaybeUninit::<u8>::uninit() }; PATH_BYTES_MAX];
    // SAFETY: PATH is a terminated text; writes to `file` stay within it, and end in 0.
    unsafe {
        let mut at = path(environment);
        loop {
            let mut length = 0;
            let mut push = |byte: u8| {
                if let Some(place) = file.get_mut(length) {
                    place.write(byte);
                    length += 1;
                }
            };
            let mut any = false;
            while *at != 0 && *at != b':' {
                push(*at);
                any = true;
                at = at.add(1);
            }
            if any {
                push(b'/');
            }
            name.iter().copied().chain([0]).for_each(&mut push);
            if length < PATH_BYTES_MAX {
                match call(NUMBERS.execve, file.as_ptr() as usize, arguments as usize, environment as usize, 0) {
                    ENOENT | ENOTDIR => {}
                    EACCES => worst = EACCES,
                    other => return other,
                }
            }
            if *at == 0 {
                return worst;
            }
            at = at.add(1);
        }
    }
}

/// The last `PATH` of an environment, which is the effective one.
///
/// # Safety
/// As for [`run`].
unsafe fn path(environment: *const *const u8) -> *const u8 {
    let (mut found, mut at) = (DEFAULT_PATH.as_ptr(), environment);
    // SAFETY: the array ends in null, and a text is read no further than its end: comparing stops
    // at a difference.
    unsafe {
        while *at != null() {
            let text = *at;
            if b"PATH=".iter().enumerate().all(|(place, byte)| *text.add(place) == *byte) {
                found = text.add(5);
            }
            at = at.add(1);
        }
    }
    found
}

fn reason(error: isize) -> &'static [u8] {
    match error {
        ENOENT | ENOTDIR => b": there is no such file in the image, or what it needs to run is missing",
        EACCES => b": it is not executable for the image's user",
        -8 => b": it is neither a program for linux/amd64 nor a script that begins with #!",
        -7 => b": arguments and environment are too long together",
        _ => b": the kernel refuses",
    }
}

/// # Safety
/// The text must be terminated.
unsafe fn length(text: *const u8) -> usize {
    let mut length = 0;
    // SAFETY: it is read to its end.
    while unsafe { *text.add(length) } != 0 {
        length += 1;
    }
    length
}

fn exit(code: usize) -> ! {
    loop {
        // SAFETY: the call takes a number and does not return.
        unsafe { call(NUMBERS.exit_group, code, 0, 0, 0) };
    }
}

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    exit(125)
}
