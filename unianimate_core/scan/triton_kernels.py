"""The kernels of the scan. A program walks one sequence, or several in turn, through time for CHANNELS channels.

The state of a channel stays in registers from the first frame to the last. A program has one warp, and each thread owns
whole channels with all their states, so sums over states need no exchange. Only n f E tensors move. Arguments NAME_n
and NAME_f are strides of sequence and frame; channels and states are contiguous. rate: A times log2(e), for powers of
2. Loops use while: under NumPy 2.4, Triton's interpreter cannot run a range whose length is an argument.
"""

from __future__ import annotations

import triton
import triton.language as tl

LN_2 = tl.constexpr(0.6931471805599453)


@triton.jit
def forward_kernel(
    u, delta, rate, B, C, D, z, added, y,
    frames, channels, states,
    u_n, u_f, delta_n, delta_f, B_n, B_f, C_n, C_f, z_n, z_f, added_n, added_f, y_n, y_f,
    REVERSE: tl.constexpr, GATED: tl.constexpr, ADDED: tl.constexpr,
    STATES: tl.constexpr, CHANNELS: tl.constexpr,
):  # fmt: skip
    """y = (scan + added) * silu(z). Grid: sequences, blocks of channels."""
    sequence = tl.program_id(0).to(tl.int64)
    e = tl.program_id(1) * CHANNELS + tl.arange(0, CHANNELS)
    s = tl.arange(0, STATES)
    in_e, in_s = e < channels, s < states
    rates = tl.load(rate + e[None, :] * states + s[:, None], mask=in_s[:, None] & in_e[None, :], other=0.0)
    skip = tl.load(D + e, mask=in_e, other=0.0)
    h = tl.zeros([STATES, CHANNELS], dtype=tl.float32)
    i = tl.full((), 0, tl.int64)  # frame times stride may exceed 32 bits
    while i < frames:
        t = frames - 1 - i if REVERSE else i
        u_t = tl.load(u + sequence * u_n + t * u_f + e, mask=in_e, other=0.0).to(tl.float32)
        delta_t = tl.load(delta + sequence * delta_n + t * delta_f + e, mask=in_e, other=0.0).to(tl.float32)
        B_t = tl.load(B + sequence * B_n + t * B_f + s, mask=in_s, other=0.0).to(tl.float32)
        C_t = tl.load(C + sequence * C_n + t * C_f + s, mask=in_s, other=0.0).to(tl.float32)
        h = tl.exp2(delta_t[None, :] * rates) * h + B_t[:, None] * (delta_t * u_t)[None, :]
        y_t = tl.sum(h * C_t[:, None], axis=0) + skip * u_t
        if ADDED:
            y_t += tl.load(added + sequence * added_n + t * added_f + e, mask=in_e, other=0.0).to(tl.float32)
        if GATED:
            z_t = tl.load(z + sequence * z_n + t * z_f + e, mask=in_e, other=0.0).to(tl.float32)
            y_t *= z_t * tl.sigmoid(z_t)
        tl.store(y + sequence * y_n + t * y_f + e, y_t.to(y.dtype.element_ty), mask=in_e)
        i += 1


@triton.jit
def backward_kernel(
    grad, u, delta, rate, B, C, D, z, added,
    du, ddelta, dz, dA, dB, dC, dD, history,
    sequences, frames, channels, states,
    grad_n, grad_f, u_n, u_f, delta_n, delta_f, B_n, B_f, C_n, C_f, z_n, z_f, added_n, added_f,
    REVERSE: tl.constexpr, GATED: tl.constexpr, ADDED: tl.constexpr,
    STATES: tl.constexpr, CHANNELS: tl.constexpr,
):  # fmt: skip
    """Gradients. Grid: programs, blocks of channels. Program p takes the sequences p, p + programs, ...

    history: memory for the states before every frame, frames STATES CHANNELS for each program and block.
    du, ddelta, dz: n f E contiguous. The caller sums the rest over their first axis, so the order of additions is
    fixed. dA: programs E s; dD: programs E; dB, dC: blocks n f s.
    """
    program, block = tl.program_id(0), tl.program_id(1)
    e = block * CHANNELS + tl.arange(0, CHANNELS)
    s = tl.arange(0, STATES)
    in_e, in_s = e < channels, s < states
    rates = tl.load(rate + e[None, :] * states + s[:, None], mask=in_s[:, None] & in_e[None, :], other=0.0)
    skip = tl.load(D + e, mask=in_e, other=0.0)
    owned = s[:, None] * CHANNELS + tl.arange(0, CHANNELS)[None, :]
    slot = (program * tl.num_programs(1) + block).to(tl.int64) * frames
    dA_sum = tl.zeros([STATES, CHANNELS], dtype=tl.float32)
    dD_sum = tl.zeros([CHANNELS], dtype=tl.float32)

    index = program
    while index < sequences:
        sequence = index.to(tl.int64)
        h = tl.zeros([STATES, CHANNELS], dtype=tl.float32)
        i = tl.full((), 0, tl.int64)
        while i < frames:
            t = frames - 1 - i if REVERSE else i
            tl.store(history + (slot + i) * STATES * CHANNELS + owned, h)
            u_t = tl.load(u + sequence * u_n + t * u_f + e, mask=in_e, other=0.0).to(tl.float32)
            delta_t = tl.load(delta + sequence * delta_n + t * delta_f + e, mask=in_e, other=0.0).to(tl.float32)
            B_t = tl.load(B + sequence * B_n + t * B_f + s, mask=in_s, other=0.0).to(tl.float32)
            h = tl.exp2(delta_t[None, :] * rates) * h + B_t[:, None] * (delta_t * u_t)[None, :]
            i += 1
        tl.debug_barrier()  # a thread may load what another stored

        g = tl.zeros([STATES, CHANNELS], dtype=tl.float32)
        while i > 0:
            i -= 1
            t = frames - 1 - i if REVERSE else i
            row = (sequence * frames + t) * channels + e
            u_t = tl.load(u + sequence * u_n + t * u_f + e, mask=in_e, other=0.0).to(tl.float32)
            delta_t = tl.load(delta + sequence * delta_n + t * delta_f + e, mask=in_e, other=0.0).to(tl.float32)
            B_t = tl.load(B + sequence * B_n + t * B_f + s, mask=in_s, other=0.0).to(tl.float32)
            C_t = tl.load(C + sequence * C_n + t * C_f + s, mask=in_s, other=0.0).to(tl.float32)
            dy_t = tl.load(grad + sequence * grad_n + t * grad_f + e, mask=in_e, other=0.0).to(tl.float32)
            before = tl.load(history + (slot + i) * STATES * CHANNELS + owned)
            decay = tl.exp2(delta_t[None, :] * rates)
            h = decay * before + B_t[:, None] * (delta_t * u_t)[None, :]
            if GATED:
                y_t = tl.sum(h * C_t[:, None], axis=0) + skip * u_t
                if ADDED:
                    y_t += tl.load(added + sequence * added_n + t * added_f + e, mask=in_e, other=0.0).to(tl.float32)
                z_t = tl.load(z + sequence * z_n + t * z_f + e, mask=in_e, other=0.0).to(tl.float32)
                sigmoid = tl.sigmoid(z_t)
                dz_t = dy_t * y_t * sigmoid * (1 + z_t * (1 - sigmoid))
                tl.store(dz + row, dz_t.to(dz.dtype.element_ty), mask=in_e)
                dy_t *= z_t * sigmoid

            g += C_t[:, None] * dy_t[None, :]
            part = ((block.to(tl.int64) * sequences + sequence) * frames + t) * states + s
            tl.store(dC + part, tl.sum(h * dy_t[None, :], axis=1), mask=in_s)
            tl.store(dB + part, tl.sum(g * (delta_t * u_t)[None, :], axis=1), mask=in_s)
            dx_t = tl.sum(g * B_t[:, None], axis=0)
            g *= decay
            of_exponent = g * before
            dA_sum += of_exponent * delta_t[None, :]
            dD_sum += dy_t * u_t
            ddelta_t = tl.sum(of_exponent * rates, axis=0) * LN_2 + dx_t * u_t
            tl.store(ddelta + row, ddelta_t.to(ddelta.dtype.element_ty), mask=in_e)
            tl.store(du + row, (dx_t * delta_t + skip * dy_t).to(du.dtype.element_ty), mask=in_e)
        tl.debug_barrier()  # the next sequence overwrites these states
        index += tl.num_programs(0)

    tl.store(dA + (program * channels + e[None, :]) * states + s[:, None], dA_sum, mask=in_s[:, None] & in_e[None, :])
    tl.store(dD + program * channels + e, dD_sum, mask=in_e)
