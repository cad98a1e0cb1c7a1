// L1, L2 and SSIM of one plane with their gradient, in two passes over blocks: what the windows see, then the slope of the texels.
// mean_ssim() of reference.py is the definition.
@group(1) @binding(0) var<storage, read> picture: array<f32>;
@group(1) @binding(1) var<storage, read_write> slopes: array<f32>;
@group(1) @binding(2) var<storage, read_write> loss: array<vec4f>; // of each block and plane: weighted sums of |r|, r^2, SSIM
@group(1) @binding(3) var<storage, read_write> windows: array<f32>; // three numbers a texel: by mean, by variance, by covariance
// bindings 4 and 5 are the target's

const RADIUS = i32(SSIM_RADIUS);
const TAPS = 2u * SSIM_RADIUS + 1u;
const WIDE = BLOCK + 2u * SSIM_RADIUS; // a block with what its windows reach

var<workgroup> around: array<vec2f, WIDE * WIDE>;     // picture and target
var<workgroup> across: array<vec4f, WIDE * BLOCK>;    // blurred along x
var<workgroup> products: array<f32, WIDE * BLOCK>;
var<workgroup> staged: array<vec4f, TEXELS>;

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

fn tap(k: u32) -> f32 {
    var taps = array<f32, TAPS>(SSIM_WINDOW);
    return taps[k];
}

// Numbers of a texel's window: (mean x, mean y, mean x^2, mean y^2) and the mean of x y.
@compute @workgroup_size(TEXELS)
fn look(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
    let block = min(frame.from_block + group_number(group), frame.to_block - 1u);
    let corner = corner_of(block);
    for (var k = thread; k < WIDE * WIDE; k += TEXELS) {
        let place = place_of(corner.x + i32(k % WIDE) - RADIUS, corner.y + i32(k / WIDE) - RADIUS);
        var pair = vec2f(0.0);
        if (place.inside) { pair = vec2f(picture_at(place), target_of(place.block, frame.plane, place.texel)); }
        around[k] = pair;
    }
    workgroupBarrier();
    for (var k = thread; k < WIDE * BLOCK; k += TEXELS) {
        var sum = vec4f(0.0);
        var product = 0.0;
        for (var j = 0u; j < TAPS; j++) {
            let pair = around[k / BLOCK * WIDE + k % BLOCK + j];
            sum += tap(j) * vec4f(pair, pair * pair);
            product = fma(tap(j), pair.x * pair.y, product);
        }
        across[k] = sum;
        products[k] = product;
    }
    workgroupBarrier();
    var mean = vec4f(0.0);
    var product = 0.0;
    for (var j = 0u; j < TAPS; j++) {
        let k = thread + j * BLOCK;
        mean += tap(j) * across[k];
        product = fma(tap(j), products[k], product);
    }
    let place = place_of(corner.x + i32(thread % BLOCK), corner.y + i32(thread / BLOCK));
    let weight = select(0.0, weights[block * TEXELS + thread], place.inside);
    let mx = mean.x;
    let my = mean.y;
    let n1 = 2.0 * mx * my + SSIM_C1;
    let n2 = 2.0 * (product - mx * my) + SSIM_C2;
    let d1 = mx * mx + my * my + SSIM_C1;
    let d2 = (mean.z - mx * mx) + (mean.w - my * my) + SSIM_C2;
    let ssim = n1 * n2 / (d1 * d2);
    let by_variance = -ssim / d2;
    let by_covariance = 2.0 * n1 / (d1 * d2);
    let by_mean = 2.0 * my * n2 / (d1 * d2) - 2.0 * mx * ssim / d1 - 2.0 * mx * by_variance - my * by_covariance;
    let at = 3u * (block * TEXELS + thread);
    windows[at] = weight * by_mean;
    windows[at + 1u] = weight * by_variance;
    windows[at + 2u] = weight * by_covariance;
    let pair = around[(thread / BLOCK + SSIM_RADIUS) * WIDE + thread % BLOCK + SSIM_RADIUS];
    let r = pair.x - pair.y;
    let sums = over_plane_block(thread, weight * vec4f(abs(r), r * r, ssim, 0.0));
    if (thread == 0u) { loss[block * PLANES + frame.plane] = sums; }
}

@compute @workgroup_size(TEXELS)
fn slope(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
    let block = min(frame.from_block + group_number(group), frame.to_block - 1u);
    let corner = corner_of(block);
    // the blur of three numbers, along x, then along y
    for (var k = thread; k < WIDE * BLOCK; k += TEXELS) {
        var sum = vec4f(0.0);
        for (var j = 0u; j < TAPS; j++) {
            let place = place_of(corner.x + i32(k % BLOCK + j) - RADIUS, corner.y + i32(k / BLOCK) - RADIUS);
            if (place.inside) {
                let at = 3u * (place.block * TEXELS + place.texel);
                sum += tap(j) * vec4f(windows[at], windows[at + 1u], windows[at + 2u], 0.0);
            }
        }
        across[k] = sum;
    }
    workgroupBarrier();
    var by = vec4f(0.0);
    for (var j = 0u; j < TAPS; j++) { by += tap(j) * across[thread + j * BLOCK]; }
    let at = (block * PLANES + frame.plane) * TEXELS + thread;
    let ours = picture[at];
    let theirs = target_of(block, frame.plane, thread);
    let r = ours - theirs;
    let by_ssim = by.x + 2.0 * ours * by.y + theirs * by.z;
    let inside = place_of(corner.x + i32(thread % BLOCK), corner.y + i32(thread / BLOCK)).inside;
    let pointwise = weights[block * TEXELS + thread] * (frame.l1 * sign(r) + 2.0 * frame.l2 * r);
    slopes[at] = select(0.0, pointwise - frame.ssim * by_ssim, inside);
}

fn over_plane_block(thread: u32, own: vec4f) -> vec4f {
    staged[thread] = own;
    for (var half = TEXELS / 2u; half >= 1u; half /= 2u) {
        workgroupBarrier();
        if (thread < half) { staged[thread] += staged[thread + half]; }
    }
    workgroupBarrier();
    return staged[0];
}
