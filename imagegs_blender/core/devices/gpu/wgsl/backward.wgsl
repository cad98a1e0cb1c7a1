// The gradient of every entry from by_picture = dL/dout and what forward kept.
@group(1) @binding(4) var<storage, read> picture: array<f32>;
@group(1) @binding(5) var<storage, read> kept: array<vec2f>;
@group(1) @binding(6) var<storage, read> by_picture: array<f32>;

fn place_of(block: u32, plane: u32, texel: u32) -> u32 {
    return (block * PLANES + min(plane, PLANES - 1u)) * TEXELS + texel;
}

@compute @workgroup_size(THREADS)
fn backward(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
    let block = block_of(group);
    var pull = 0.0;
    for (var plane = 0u; plane < PLANES; plane++) {
        let at = place_of(block.number, plane, thread);
        pull = fma(by_picture[at], picture[at], pull);
    }
    let own = kept[block.number * TEXELS + thread];
    leave(thread, own.x, own.y, select(0.0, pull, TOPK > 0u));
    for (var slice = 0u; slice < SLICES; slice++) {
        workgroupBarrier();
        for (var p = 0u; p < SLICE; p++) {
            var g = vec4f(0.0);
            for (var k = 0u; k < 4u; k++) {
                let plane = 4u * (slice * SLICE + p) + k;
                if (plane < PLANES) { g[k] = by_picture[place_of(block.number, plane, thread)]; }
            }
            slope[p * TEXELS + thread] = g;
        }
        workgroupBarrier();
        entry_gradients(block, slice, false, thread);
    }
}
