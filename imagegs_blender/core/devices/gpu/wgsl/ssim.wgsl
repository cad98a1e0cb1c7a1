// L1, L2 and SSIM of one plane with their gradient, in two passes over blocks: what the windows see (look.wgsl), then the slope of the
// texels (slope.wgsl).
// mean_ssim() of reference.py is the definition.
@group(1) @binding(0) var<storage, read> picture: array<f32>;
@group(1) @binding(1) var<storage, read_write> slopes: array<f32>;
@group(1) @binding(2) var<storage, read_write> loss: array<vec4f>; // of each block and plane: weighted sums of |r|, r^2, SSIM
@group(1) @binding(3) var<storage, read_write> windows: array<vec4f>; // of each texel: by mean, by variance, by covariance
// bindings 4 and 5 are the target's

const RADIUS = i32(SSIM_RADIUS);
const WIDE = BLOCK + 2u * SSIM_RADIUS; // a block with what its windows reach

var<workgroup> across: array<vec4f, WIDE * BLOCK>; // blurred along x

// Texel (x, y) of the texture: (block, texel), or whether it is outside.
struct Place { block: u32, texel: u32, inside: bool }

fn place_of(x: i32, y: i32) -> Place {
    let inside = x >= 0 && y >= 0 && x < i32(frame.width) && y < i32(frame.height);
    let column = u32(max(x, 0));
    let row = u32(max(y, 0));
    return Place(row / BLOCK * frame.columns + column / BLOCK, row % BLOCK * BLOCK + column % BLOCK, inside);
}

fn corner_of(block: u32) -> vec2i {
    return vec2i(i32(block % frame.columns * BLOCK), i32(block / frame.columns * BLOCK));
}

fn picture_at(place: Place) -> f32 { return picture[(place.block * PLANES + frame.plane) * TEXELS + place.texel]; }
