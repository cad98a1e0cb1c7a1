// What all kernels share: the frame of a launch, a splat, its log-weight.
//
// Storage of kernels is in group 1. Numbers in capitals that are not declared here are declared in front of this text (source.py).
// "each(k, N): text" stands for N such lines, {k} in them for 0, 1, ...; so does "each(k, N) {" for all lines up to its "}" (source.py).

// What changes from launch to launch. Blocks are 16 x 16 texels, row by row; a band is a range of block rows.
struct Frame {
    width: u32, height: u32, columns: u32, wrap: u32,
    band: u32, blocks: u32,         // the band's first block, and how many it has
    from_block: u32, to_block: u32, // the blocks of the band that this launch is for
    splats: u32, capacity: u32,     // how many there are; entries that block lists have room for
    first_row: u32, slot: u32,      // of the rows that a step looks at; where the step's report goes
    more: u32,                      // sums are added to those of earlier bands
    plane: u32, items: u32,         // for kernels that take one plane, or so many items
    l1: f32, l2: f32, ssim: f32,    // loss ratios divided by the number of values
    power: f32,                     // of the error in a density
    rate_mean: f32, rate_scale: f32, rate_rotation: f32, rate_bias: f32, rate_feature: f32, // 0: keeps its value
    lowest_scale: f32, highest_scale: f32, most_bias: f32,
    inverse_scale: u32,
}
@group(0) @binding(0) var<uniform> frame: Frame;

// q = a dx^2 + b dx dy + c dy^2 + bias around (x, y), texels.
struct Splat {
    x: f32, y: f32, a: f32, b: f32,
    c: f32, bias: f32, index: u32,
}

const FAR = 3e38;
const TEXELS = BLOCK * BLOCK;
const ROW = 2u + QUADS; // quads of a splat, of its free numbers, of its gradient: two for the geometry, then the features

fn splat_of(first: vec4f, second: vec4f) -> Splat {
    return Splat(first.x, first.y, first.z, first.w, second.x, second.y, bitcast<u32>(second.z));
}

// Every operation is spelled out, so that compilers have no choice, and "q <= limit" means nearly the same wherever it is asked.
fn log_weight(s: Splat, x: f32, y: f32) -> f32 {
    let dx = x - s.x;
    let dy = y - s.y;
    return fma(s.b * dx, dy, fma(s.a * dx, dx, fma(s.c * dy, dy, s.bias)));
}

// Number of a workgroup: there may be more than one dimension can count.
fn group_number(group: vec3u) -> u32 {
    return group.y * GROUPS_ACROSS + group.x;
}

fn column_of(texel: u32) -> u32 { return texel % BLOCK; }
fn row_of(texel: u32) -> u32 { return texel / BLOCK; }
