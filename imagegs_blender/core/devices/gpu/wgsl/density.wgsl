// Where the picture lacks: |error|^power of the texels, weighted; and its sum for each block.
@group(1) @binding(3) var<storage, read_write> density: array<f32>; // block by block, texels along a Morton curve
@group(1) @binding(6) var<storage, read_write> sums: array<f32>;

@compute @workgroup_size(THREADS)
fn measure(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
    let block = block_of(group);
    let x = f32(block.x + column_of(thread)) + 0.5;
    let y = f32(block.y + row_of(thread)) + 0.5;
    let blended = blend(block, select_nearest(block, x, y, thread), x, y, thread);
    var error = 0.0;
    each(p, QUADS): let r{p} = blended.value{p} - target_quad(block.number, {p}u, thread); error += dot(r{p}, r{p});
    let weight = weights[block.number * TEXELS + thread];
    let own = select(0.0, pow(error / f32(PLANES), 0.5 * frame.power) * weight, error > 0.0 && weight > 0.0);
    density[block.number * TEXELS + along_curve(thread)] = own;
    let sum = over_block(thread, vec4f(own, 0.0, 0.0, 0.0));
    if (thread == 0u) { sums[block.number] = sum.x; }
}
