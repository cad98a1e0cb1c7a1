// The picture, and what backward needs of each texel.
// Planes of rows from first_row on, `items` of them; where KEEPING, for each block planes of texels.
@group(1) @binding(3) var<storage, read_write> picture: array<f32>;
@group(1) @binding(4) var<storage, read_write> kept: array<vec2f>;  // limit of q, 1 / normalizer

@compute @workgroup_size(THREADS)
fn forward(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
    let block = block_of(group);
    let column = block.x + thread % BLOCK;
    let row = block.y + thread / BLOCK;
    let nearest = select_nearest(block, f32(column) + 0.5, f32(row) + 0.5, thread);
    let blended = blend(block, nearest, f32(column) + 0.5, f32(row) + 0.5, thread);
    if (KEEPING) { kept[block.number * TEXELS + thread] = vec2f(limit_of(nearest), blended.scale); }
    let inside = KEEPING || (column < frame.width && row >= frame.first_row && row < frame.first_row + frame.items);
    let at = select((row - frame.first_row) * frame.width + column, block.number * PLANES * TEXELS + thread, KEEPING);
    let plane = select(frame.width * frame.items, TEXELS, KEEPING);
    each(p, QUADS) {
        for (var k = 0u; k < 4u; k++) {
            if (inside && 4u * {p}u + k < PLANES) { picture[at + (4u * {p}u + k) * plane] = blended.value{p}[k]; }
        }
    }
}
