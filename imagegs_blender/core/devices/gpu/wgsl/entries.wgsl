// The gradient of the entries of a block, from what its texels leave: PARTS threads take an entry, each every PARTS-th texel, and sum in
// registers. Nothing is added in memory, so every run gives the same bits.
//
// left is (limit, 1 / normalizer, pull = sum_c g_c out_c, 0), slope is g_c = dL/dout_c of the planes of one slice: as many quads of
// planes as workgroup memory has room for. The geometry's gradient is linear in g, so slices add up.
@group(1) @binding(3) var<storage, read_write> gradient: array<vec4f>;

var<workgroup> slope: array<vec4f, SLICE * TEXELS>;

// To gradient, ROW quads an entry: (gq, gq dx, gq dy, 0), (gq dx^2, gq dx dy, gq dy^2, 0), features; gq = dL/dq.
fn entry_gradients(block: Block, slice: u32, thread: u32) {
    let part = thread % PARTS;
    for (var base = 0u; base < block.count; base += THREADS / PARTS) {
        let at = base + thread / PARTS;
        let entry = entries[block.first + min(at, block.count - 1u)];
        let s = near(entry);
        let first = s.index * ROW + 2u + slice * SLICE;
        each(p, SLICE): let feature{p} = splats[first + {p}u];
        var place = vec4f(0.0);
        var shape = vec4f(0.0);
        each(p, SLICE): var sum{p} = vec4f(0.0);
        if (at < block.count) {
            for (var k = part; k < THREADS; k += PARTS) {
                let texel = texel_of(k);
                let x = f32(block.x + column_of(texel)) + 0.5;
                let y = f32(block.y + row_of(texel)) + 0.5;
                let q = log_weight(s, x, y);
                let kept = left[k];
                if (q <= kept.x) {
                    let w = exp(-q) * kept.y;
                    var toward = select(0.0, -kept.z, slice == 0u);
                    each(p, SLICE): let g{p} = slope[{p}u * TEXELS + k]; toward += dot(g{p}, feature{p}); sum{p} += w * g{p};
                    let gq = -w * toward;
                    let dx = x - s.x;
                    let dy = y - s.y;
                    place += gq * vec4f(1.0, dx, dy, 0.0);
                    shape += gq * vec4f(dx * dx, dx * dy, dy * dy, 0.0);
                }
            }
        }
        let row = entry.y * ROW;
        place = over_parts(thread, place);
        shape = over_parts(thread, shape);
        each(p, SLICE): sum{p} = over_parts(thread, sum{p});
        if (at < block.count) {
            if (part == 0u) { gradient[row] = place + select(vec4f(0.0), gradient[row], slice > 0u); }
            if (part == 1u) { gradient[row + 1u] = shape + select(vec4f(0.0), gradient[row + 1u], slice > 0u); }
            each(p, SLICE): if (part == ({p}u + 2u) % PARTS) { gradient[row + 2u + slice * SLICE + {p}u] = sum{p}; }
        }
    }
}
