// One block of 16 x 16 texels for each workgroup, a texel for each thread: the K smallest q of the block's list, and the blend.
@group(1) @binding(0) var<storage, read> splats: array<vec4f>;
@group(1) @binding(1) var<storage, read> offsets: array<u32>;
@group(1) @binding(2) var<storage, read> entries: array<vec2u>;

const CHUNK = 128u; // entries of a list that are held in workgroup memory at a time
const SLACK = 2e-6; // of q: what its value may differ by from one place of a kernel to another

// Splats, two quads each; between uses of these, sums over threads.
var<workgroup> staged: array<vec4f, TEXELS>;
// What a texel leaves for the entries: its limit of q, 1 / normalizer, and a number of the kernel's own.
var<workgroup> left: array<vec4f, TEXELS>;

struct Block {
    number: u32,             // among all blocks
    first: u32, count: u32,  // its entries
    x: u32, y: u32,
}

// The block of a workgroup. Where lists have outgrown their room, all are empty.
fn block_of(group: vec3u) -> Block {
    let block = min(frame.from_block + group_number(group), frame.to_block - 1u);
    let all = offsets[frame.splats];
    let first = offsets[frame.splats + block] - all;
    let count = select(offsets[frame.splats + block + 1u] - all - first, 0u, overflowed());
    let number = frame.band + block;
    return Block(number, first, count, number % frame.columns * BLOCK, number / frame.columns * BLOCK);
}

fn overflowed() -> bool { return offsets[frame.splats] > frame.capacity; }

// Texel of a thread within its block.
fn texel_of(thread: u32) -> u32 {
    return (thread / BLOCK * STRIDE + frame.first_row) * BLOCK + thread % BLOCK;
}

fn column_of(texel: u32) -> u32 { return texel % BLOCK; }
fn row_of(texel: u32) -> u32 { return texel / BLOCK; }

// The splat of an entry, moved to where its copy is.
fn near(entry: vec2u) -> Splat {
    let at = entry.x / 9u * ROW;
    let copy = i32(entry.x % 9u);
    var s = splat_of(splats[at], splats[at + 1u]);
    s.x += f32((copy % 3 - 1) * i32(frame.width));
    s.y += f32((copy / 3 - 1) * i32(frame.height));
    return s;
}

fn stage(block: Block, base: u32, thread: u32) {
    workgroupBarrier();
    for (var k = thread; k < min(CHUNK, block.count - base); k += THREADS) {
        let s = near(entries[block.first + base + k]);
        staged[2u * k] = vec4f(s.x, s.y, s.a, s.b);
        staged[2u * k + 1u] = vec4f(s.c, s.bias, bitcast<f32>(s.index), 0.0);
    }
    workgroupBarrier();
}

// The K-th smallest q of a texel, at most CUTOFF; CUTOFF for K = 0. Leaves the list staged where it fits.
fn select_limit(block: Block, x: f32, y: f32, thread: u32) -> f32 {
    each(k, KEPT): var smallest{k} = CUTOFF;
    for (var base = 0u; base < max(block.count, 1u); base += CHUNK) {
        stage(block, base, thread);
        for (var j = 0u; j < min(CHUNK, block.count - base); j++) {
            var q = log_weight(splat_of(staged[2u * j], staged[2u * j + 1u]), x, y);
            if (TOPK > 0u && q < smallest{LAST}) {
                var low = 0.0;
                each(k, KEPT): low = min(smallest{k}, q); q = max(smallest{k}, q); smallest{k} = low;
            }
        }
    }
    return smallest{LAST} + SLACK * max(abs(smallest{LAST}), 1.0);
}

struct Blended {
    scale: f32, // 1 / normalizer
    each(p, QUADS): value{p}: vec4f,
}

// value = sum w f / (sum w + EPS) over q <= limit (the plain sum for K = 0).
fn blend(block: Block, x: f32, y: f32, limit: f32, thread: u32) -> Blended {
    var sum = 0.0;
    each(p, QUADS): var value{p} = vec4f(0.0);
    for (var base = 0u; base < block.count; base += CHUNK) {
        if (block.count > CHUNK) { stage(block, base, thread); }
        for (var j = 0u; j < min(CHUNK, block.count - base); j++) {
            let s = splat_of(staged[2u * j], staged[2u * j + 1u]);
            let q = log_weight(s, x, y);
            if (q <= limit) {
                let w = exp(-q);
                let feature = s.index * ROW + 2u;
                sum += w;
                each(p, QUADS): value{p} += w * splats[feature + {p}u];
            }
        }
    }
    let scale = select(1.0, 1.0 / (sum + EPS), TOPK > 0u);
    var blended: Blended;
    blended.scale = scale;
    each(p, QUADS): blended.value{p} = value{p} * scale;
    return blended;
}

// The sum over the workgroup, in every thread, in a fixed order.
fn over_block(thread: u32, own: vec4f) -> vec4f {
    workgroupBarrier();
    staged[thread] = own;
    for (var half = THREADS / 2u; half >= 1u; half /= 2u) {
        workgroupBarrier();
        if (thread < half) { staged[thread] += staged[thread + half]; }
    }
    workgroupBarrier();
    return staged[0];
}
