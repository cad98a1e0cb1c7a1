// The gradient of the entries of a block, from what its texels leave: PARTS threads take an entry, each every PARTS-th texel, and sum in
// registers. Nothing is added in memory but bits, so every run gives the same ones.
//
// left is (limit of q, 1 / normalizer, pull = sum_c g_c out_c), slope is g_c = dL/dout_c of the planes of one slice: as many quads of
// planes as workgroup memory has room for. The geometry's gradient is linear in g, so slices add up.
@group(1) @binding(3) var<storage, read_write> gradient: array<vec4f>;

var<workgroup> left: array<f32, 3u * TEXELS>;
var<workgroup> slope: array<vec4f, SLICE * TEXELS>;
// For each entry of a chunk and each of its threads: a bit for each of the thread's texels that the entry is blended into.
var<workgroup> hits: array<atomic<u32>, CHUNK * PARTS>;

fn leave(thread: u32, limit: f32, scale: f32, pull: f32) {
    left[thread] = limit;
    left[TEXELS + thread] = scale;
    left[2u * TEXELS + thread] = pull;
}

fn hit(j: u32, thread: u32) { atomicOr(&hits[j * PARTS + thread % PARTS], 1u << (thread / PARTS)); }

fn no_hits(count: u32, thread: u32) {
    workgroupBarrier();
    for (var k = thread; k < count * PARTS; k += THREADS) { atomicStore(&hits[k], 0u); }
    workgroupBarrier();
}

// The hits of a whole list from what select_nearest() found; where the list is longer than a chunk, find_hits() does it later.
fn hit_nearest(block: Block, nearest: Nearest, counts: bool, thread: u32) {
    no_hits(min(block.count, CHUNK), thread);
    if (counts && block.count <= CHUNK) {
        each(k, KEPT): if (nearest.at{k} != NONE) { hit(nearest.at{k}, thread); }
    }
    workgroupBarrier();
}

// The hits of a chunk, from the texels' limits.
fn find_hits(block: Block, base: u32, thread: u32) {
    let count = min(CHUNK, block.count - base);
    let turns = stage(block, base, thread);
    no_hits(count, thread);
    let texel = texel_of(thread);
    let x = f32(block.x + column_of(texel)) + 0.5;
    let y = f32(block.y + row_of(texel)) + 0.5;
    for (var turn = 0u; turn < turns; turn++) {
        each(u, AT_ONCE): let q{u} = staged_weight(turn * AT_ONCE + {u}u, x, y);
        each(u, AT_ONCE): if (q{u} <= left[thread]) { hit(turn * AT_ONCE + {u}u, thread); }
    }
    workgroupBarrier();
}

// To gradient, ROW quads an entry: (gq, gq dx, gq dy, 0), (gq dx^2, gq dx dy, gq dy^2, 0), features; gq = dL/dq.
// `found` says that the hits of a list that is one chunk are there.
fn entry_gradients(block: Block, slice: u32, found: bool, thread: u32) {
    let part = thread % PARTS;
    for (var chunk = 0u; chunk < block.count; chunk += CHUNK) {
        if (block.count > CHUNK || !found) { find_hits(block, chunk, thread); }
        for (var base = chunk; base < min(block.count, chunk + CHUNK); base += THREADS / PARTS) {
            let at = base + thread / PARTS;
            let is_one = at < min(block.count, chunk + CHUNK);
            let entry = entries[block.first + min(at, block.count - 1u)];
            let s = near(entry);
            let first = s.index * ROW + 2u + slice * SLICE;
            each(p, SLICE): let feature{p} = splats[first + {p}u];
            var place = vec4f(0.0);
            var shape = vec4f(0.0);
            each(p, SLICE): var sum{p} = vec4f(0.0);
            var texels = 0u;
            if (is_one) { texels = atomicLoad(&hits[(at - chunk) * PARTS + part]); }
            while (texels != 0u) {
                let k = firstTrailingBit(texels) * PARTS + part;
                texels &= texels - 1u;
                let texel = texel_of(k);
                let x = f32(block.x + column_of(texel)) + 0.5;
                let y = f32(block.y + row_of(texel)) + 0.5;
                let w = exp(-log_weight(s, x, y)) * left[TEXELS + k];
                var toward = select(0.0, -left[2u * TEXELS + k], slice == 0u);
                each(p, SLICE): let g{p} = slope[{p}u * TEXELS + k]; toward += dot(g{p}, feature{p}); sum{p} += w * g{p};
                let gq = -w * toward;
                let dx = x - s.x;
                let dy = y - s.y;
                place += gq * vec4f(1.0, dx, dy, 0.0);
                shape += gq * vec4f(dx * dx, dx * dy, dy * dy, 0.0);
            }
            let row = entry.y * ROW;
            place = over_parts(thread, place);
            shape = over_parts(thread, shape);
            each(p, SLICE): sum{p} = over_parts(thread, sum{p});
            if (is_one) {
                if (part == 0u) { gradient[row] = place + select(vec4f(0.0), gradient[row], slice > 0u); }
                if (part == 1u) { gradient[row + 1u] = shape + select(vec4f(0.0), gradient[row + 1u], slice > 0u); }
                each(p, SLICE): if (part == ({p}u + 2u) % PARTS) { gradient[row + 2u + slice * SLICE + {p}u] = sum{p}; }
            }
        }
    }
}
