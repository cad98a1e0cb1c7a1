// The sums of the rows of each splat's entries, in order: ROW quads, a thread for each; added to those of earlier bands.
@group(1) @binding(0) var<storage, read> offsets: array<u32>;
@group(1) @binding(1) var<storage, read> gradient: array<vec4f>;
@group(1) @binding(2) var<storage, read_write> sums: array<vec4f>;
@group(1) @binding(3) var<storage, read_write> reports: array<vec4f>; // of each step: sums of the loss, and the entries it needs

@compute @workgroup_size(ROW_THREADS)
fn collect(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
    let at = group_number(group) * ROW_THREADS + thread;
    let needed = offsets[frame.splats];
    if (at == 0u) {
        let before = select(0u, bitcast<u32>(reports[frame.slot].w), frame.more != 0u);
        reports[frame.slot].w = bitcast<f32>(max(before, needed));
    }
    if (at >= frame.splats * ROW || needed > frame.capacity) { return; }
    let i = at / ROW;
    let quad = at % ROW;
    var sum = vec4f(0.0);
    if (frame.more != 0u) { sum = sums[at]; }
    for (var row = offsets[i]; row < offsets[i + 1u]; row++) { sum += gradient[row * ROW + quad]; }
    sums[at] = sum;
}
