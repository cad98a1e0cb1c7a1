// A workgroup sorts the list of a block by splat, then by copy: an entry's place is the number of smaller ones.
@group(1) @binding(0) var<storage, read> offsets: array<u32>;
@group(1) @binding(1) var<storage, read> entries: array<vec2u>;
@group(1) @binding(2) var<storage, read_write> sorted: array<vec2u>;

var<workgroup> some: array<u32, RANK_THREADS>;

@compute @workgroup_size(RANK_THREADS)
fn rank(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
    let block = min(group_number(group), frame.blocks - 1u);
    let all = offsets[frame.splats];
    let first = offsets[frame.splats + block] - all;
    var count = offsets[frame.splats + block + 1u] - all - first;
    if (all > frame.capacity) { count = 0u; }
    for (var start = 0u; start < count; start += RANK_THREADS) {
        let mine = start + thread;
        var entry = vec2u(0u);
        if (mine < count) { entry = entries[first + mine]; }
        var smaller = 0u;
        for (var base = 0u; base < count; base += RANK_THREADS) {
            workgroupBarrier();
            some[thread] = 0xffffffffu;
            if (base + thread < count) { some[thread] = entries[first + base + thread].x; }
            workgroupBarrier();
            for (var k = 0u; k < min(RANK_THREADS, count - base); k += AT_ONCE) {
                each(u, AT_ONCE): smaller += u32(some[k + {u}u] < entry.x);
            }
        }
        if (mine < count) { sorted[first + smaller] = entry; }
    }
}
