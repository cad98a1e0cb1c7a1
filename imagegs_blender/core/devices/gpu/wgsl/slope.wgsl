// The slope of each texel: the windows' numbers, blurred.
var<workgroup> seen: array<f32, 3u * WIDE * WIDE>;

@compute @workgroup_size(TEXELS)
fn slope(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
    let block = min(frame.from_block + group_number(group), frame.to_block - 1u);
    let corner = corner_of(block);
    for (var k = thread; k < WIDE * WIDE; k += TEXELS) {
        let place = place_of(corner.x + i32(k % WIDE) - RADIUS, corner.y + i32(k / WIDE) - RADIUS);
        var numbers = vec4f(0.0);
        if (place.inside) { numbers = windows[place.block * TEXELS + place.texel]; }
        seen[3u * k] = numbers.x;
        seen[3u * k + 1u] = numbers.y;
        seen[3u * k + 2u] = numbers.z;
    }
    workgroupBarrier();
    // blurred along x, then along y
    for (var k = thread; k < WIDE * BLOCK; k += TEXELS) {
        var sum = vec4f(0.0);
        let first = 3u * (k / BLOCK * WIDE + k % BLOCK);
        each(j, TAPS): sum += TAP{j} * vec4f(seen[first + 3u * {j}u], seen[first + 3u * {j}u + 1u], seen[first + 3u * {j}u + 2u], 0.0);
        across[k] = sum;
    }
    workgroupBarrier();
    var by = vec4f(0.0);
    each(j, TAPS): by += TAP{j} * across[thread + {j}u * BLOCK];
    let at = (block * PLANES + frame.plane) * TEXELS + thread;
    let ours = picture[at];
    let theirs = target_of(block, frame.plane, thread);
    let r = ours - theirs;
    let by_ssim = by.x + 2.0 * ours * by.y + theirs * by.z;
    let inside = place_of(corner.x + i32(thread % BLOCK), corner.y + i32(thread / BLOCK)).inside;
    let pointwise = weights[block * TEXELS + thread] * (frame.l1 * sign(r) + 2.0 * frame.l2 * r);
    slopes[at] = select(0.0, pointwise - frame.ssim * by_ssim, inside);
}
