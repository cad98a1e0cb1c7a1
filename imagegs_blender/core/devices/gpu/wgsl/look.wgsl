// What the window of each texel sees.
var<workgroup> around: array<vec2f, WIDE * WIDE>; // picture and target
var<workgroup> products: array<f32, WIDE * BLOCK>;

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
        let first = k / BLOCK * WIDE + k % BLOCK;
        var pair = vec2f(0.0);
        each(j, TAPS): pair = around[first + {j}u]; sum += TAP{j} * vec4f(pair, pair * pair); product += TAP{j} * pair.x * pair.y;
        across[k] = sum;
        products[k] = product;
    }
    workgroupBarrier();
    var mean = vec4f(0.0);
    var product = 0.0;
    each(j, TAPS): mean += TAP{j} * across[thread + {j}u * BLOCK]; product += TAP{j} * products[thread + {j}u * BLOCK];
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
    windows[block * TEXELS + thread] = weight * vec4f(by_mean, by_variance, by_covariance, 0.0);
    let pair = around[(thread / BLOCK + SSIM_RADIUS) * WIDE + thread % BLOCK + SSIM_RADIUS];
    let r = pair.x - pair.y;
    let sums = over_plane_block(thread, weight * vec4f(abs(r), r * r, ssim, 0.0));
    if (thread == 0u) { loss[block * PLANES + frame.plane] = sums; }
}

// The sum over the workgroup, in every thread, in a fixed order.
fn over_plane_block(thread: u32, own: vec4f) -> vec4f {
    workgroupBarrier();
    across[thread] = own;
    for (var half = TEXELS / 2u; half >= 1u; half /= 2u) {
        workgroupBarrier();
        if (thread < half) { across[thread] += across[thread + half]; }
    }
    workgroupBarrier();
    return across[0];
}
