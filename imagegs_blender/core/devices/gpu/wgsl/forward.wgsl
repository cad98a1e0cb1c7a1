// The picture, block by block: PLANES planes of TEXELS numbers; and what backward needs of each texel.
@group(1) @binding(3) var<storage, read_write> picture: array<f32>;
@group(1) @binding(4) var<storage, read_write> kept: array<vec2f>; // limit, 1 / normalizer

@compute @workgroup_size(THREADS)
fn forward(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
    let block = block_of(group);
    let x = f32(block.x + column_of(thread)) + 0.5;
    let y = f32(block.y + row_of(thread)) + 0.5;
    let limit = select_limit(block, x, y, thread);
    let blended = blend(block, x, y, limit, thread);
    each(p, QUADS): for (var k = 0u; k < 4u; k++) { put(block.number, 4u * {p}u + k, thread, blended.value{p}[k]); }
    if (KEEPING) { kept[block.number * TEXELS + thread] = vec2f(limit, blended.scale); }
}

fn put(block: u32, plane: u32, texel: u32, number: f32) {
    if (plane < PLANES) { picture[(block * PLANES + plane) * TEXELS + texel] = number; }
}
