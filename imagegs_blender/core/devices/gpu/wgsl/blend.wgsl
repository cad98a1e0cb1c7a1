// One block of 16 x 16 texels for each workgroup, a texel for each thread: the K smallest q of the block's list, and the blend.
@group(1) @binding(0) var<storage, read> splats: array<vec4f>;
@group(1) @binding(1) var<storage, read> offsets: array<u32>;
@group(1) @binding(2) var<storage, read> entries: array<vec2u>;

const CHUNK = 128u; // entries of a list that are held in workgroup memory at a time
const NONE = 0xffffffffu;
const SLACK = 2e-6; // of q: what its value may differ by from one place of a kernel to another

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

// The splat of an entry, moved to where its copy is.
fn near(entry: vec2u) -> Splat {
    let at = entry.x / 9u * ROW;
    let copy = i32(entry.x % 9u);
    var s = splat_of(splats[at], splats[at + 1u]);
    s.x += f32((copy % 3 - 1) * i32(frame.width));
    s.y += f32((copy / 3 - 1) * i32(frame.height));
    return s;
}

// A chunk of the list to workgroup memory, filled up with what is nowhere; how many turns of AT_ONCE a loop over it takes.
fn stage(block: Block, base: u32, thread: u32) -> u32 {
    let count = min(CHUNK, block.count - base);
    let turns = (count + AT_ONCE - 1u) / AT_ONCE;
    workgroupBarrier();
    for (var k = thread; k < turns * AT_ONCE; k += THREADS) {
        if (k < count) {
            let s = near(entries[block.first + base + k]);
            staged[2u * k] = vec4f(s.x, s.y, s.a, s.b);
            staged[2u * k + 1u] = vec4f(s.c, s.bias, bitcast<f32>(s.index), 0.0);
        } else {
            staged[2u * k] = vec4f(0.0);
            staged[2u * k + 1u] = vec4f(0.0, FAR, 0.0, 0.0);
        }
    }
    workgroupBarrier();
    return turns;
}

// q of a splat of the chunk.
fn staged_weight(j: u32, x: f32, y: f32) -> f32 {
    return log_weight(splat_of(staged[2u * j], staged[2u * j + 1u]), x, y);
}

// The K smallest q of a texel that are below CUTOFF, and where in the block's list they are; NONE where there are fewer.
struct Nearest {
    each(k, KEPT): q{k}: f32, at{k}: u32,
}

// Leaves the list staged where it fits. Among equals the first of the list counts.
fn select_nearest(block: Block, x: f32, y: f32, thread: u32) -> Nearest {
    each(k, KEPT): var q{k} = CUTOFF; var at{k} = NONE;
    for (var base = 0u; base < max(block.count, 1u); base += CHUNK) {
        let turns = stage(block, base, thread);
        for (var turn = 0u; turn < turns; turn++) {
            each(u, AT_ONCE): let new{u} = staged_weight(turn * AT_ONCE + {u}u, x, y);
            each(u, AT_ONCE) {
                if (TOPK > 0u && new{u} < q{LAST}) {
                    var q = new{u};
                    var at = base + turn * AT_ONCE + {u}u;
                    each(k, KEPT) {
                        if (q < q{k}) {
                            let farther = q{k};
                            let there = at{k};
                            q{k} = q;
                            at{k} = at;
                            q = farther;
                            at = there;
                        }
                    }
                }
            }
        }
    }
    var nearest: Nearest;
    each(k, KEPT): nearest.q{k} = q{k}; nearest.at{k} = at{k};
    return nearest;
}

// The limit of q up to which an entry is blended into a texel.
fn limit_of(nearest: Nearest) -> f32 {
    if (TOPK == 0u) { return CUTOFF; }
    return nearest.q{LAST} + SLACK * max(abs(nearest.q{LAST}), 1.0);
}

struct Blended {
    scale: f32, // 1 / normalizer
    each(p, QUADS): value{p}: vec4f,
}

// value = sum w f / (sum w + EPS) over the nearest; for K = 0 the plain sum over q up to CUTOFF.
fn blend(block: Block, nearest: Nearest, x: f32, y: f32, thread: u32) -> Blended {
    var sum = 0.0;
    each(p, QUADS): var value{p} = vec4f(0.0);
    if (TOPK > 0u) {
        each(k, KEPT) {
            if (nearest.at{k} != NONE) {
                let w = exp(-nearest.q{k});
                let feature = entries[block.first + nearest.at{k}].x / 9u * ROW + 2u;
                sum += w;
                each(p, QUADS): value{p} += w * splats[feature + {p}u];
            }
        }
    } else {
        for (var base = 0u; base < block.count; base += CHUNK) {
            if (block.count > CHUNK) { _ = stage(block, base, thread); }
            for (var j = 0u; j < min(CHUNK, block.count - base); j++) {
                let s = splat_of(staged[2u * j], staged[2u * j + 1u]);
                let q = log_weight(s, x, y);
                if (q <= CUTOFF) {
                    let w = exp(-q);
                    let feature = s.index * ROW + 2u;
                    each(p, QUADS): value{p} += w * splats[feature + {p}u];
                }
            }
        }
    }
    var blended: Blended;
    blended.scale = select(1.0, 1.0 / (sum + EPS), TOPK > 0u);
    each(p, QUADS): blended.value{p} = value{p} * blended.scale;
    return blended;
}
