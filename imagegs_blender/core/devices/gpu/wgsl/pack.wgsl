// A plane by rows, to its place in the target (target.wgsl); before, whether all of its numbers are multiples of 1/255, or within 0..1.
@group(1) @binding(0) var<storage, read> rows: array<f32>;
@group(1) @binding(1) var<storage, read_write> target_words: array<u32>;
@group(1) @binding(2) var<storage, read_write> found: array<atomic<u32>>; // how many are no such multiple, how many are outside of 0..1

const EACH = 32u / DEPTH; // numbers of a word

@compute @workgroup_size(ROW_THREADS)
fn inspect(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
    let at = group_number(group) * ROW_THREADS + thread;
    if (at >= frame.items) { return; }
    let levels = rows[at] * 255.0;
    if (!(abs(levels - round(levels)) < 1e-4)) { atomicAdd(&found[0], 1u); }
    if (!(rows[at] >= 0.0 && rows[at] <= 1.0)) { atomicAdd(&found[1], 1u); }
}

@compute @workgroup_size(ROW_THREADS)
fn pack(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
    let word = group_number(group) * ROW_THREADS + thread;
    let words = TEXELS / EACH; // of a block of the plane
    if (word >= frame.blocks * words) { return; }
    let block = word / words;
    var packed = 0u;
    for (var k = 0u; k < EACH; k++) {
        let texel = word % words * EACH + k;
        let column = block % frame.columns * BLOCK + column_of(texel);
        let row = block / frame.columns * BLOCK + row_of(texel);
        var number = 0.0;
        if (column < frame.width && row < frame.height) { number = rows[row * frame.width + column]; }
        if (DEPTH == 32u) {
            packed = bitcast<u32>(number);
        } else {
            packed |= u32(round(number * select(65535.0, 255.0, DEPTH == 8u))) << (k * DEPTH % 32u);
        }
    }
    target_words[(block * PLANES + frame.plane) * words + word % words] = packed;
}
