// A density of texels by rows, as density.wgsl has it.
@group(1) @binding(0) var<storage, read> rows: array<f32>;
@group(1) @binding(1) var<storage, read_write> density: array<f32>; // block by block, texels along a Morton curve
@group(1) @binding(2) var<storage, read_write> sums: array<f32>;

@compute @workgroup_size(THREADS)
fn gather(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
    let block = min(group_number(group), frame.blocks - 1u);
    let column = block % frame.columns * BLOCK + column_of(thread);
    let row = block / frame.columns * BLOCK + row_of(thread);
    var own = 0.0;
    if (column < frame.width && row < frame.height) { own = rows[row * frame.width + column]; }
    density[block * TEXELS + along_curve(thread)] = own;
    let sum = over_block(thread, vec4f(own, 0.0, 0.0, 0.0));
    if (thread == 0u) { sums[block] = sum.x; }
}
