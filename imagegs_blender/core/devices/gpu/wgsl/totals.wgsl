// The sums of the blocks' losses, in a fixed order, to the step's report.
@group(1) @binding(0) var<storage, read> loss: array<vec4f>;
@group(1) @binding(1) var<storage, read_write> reports: array<vec4f>;

var<workgroup> room: array<vec4f, TOTAL_THREADS>;

@compute @workgroup_size(TOTAL_THREADS)
fn totals(@builtin(local_invocation_index) thread: u32) {
    var sum = vec4f(0.0);
    for (var k = thread; k < frame.items; k += AT_ONCE * TOTAL_THREADS) {
        each(u, AT_ONCE): if (k + {u}u * TOTAL_THREADS < frame.items) { sum += loss[k + {u}u * TOTAL_THREADS]; }
    }
    room[thread] = sum;
    for (var half = TOTAL_THREADS / 2u; half >= 1u; half /= 2u) {
        workgroupBarrier();
        if (thread < half) { room[thread] += room[thread + half]; }
    }
    if (thread == 0u) { reports[frame.slot] = vec4f(room[0].xyz, reports[frame.slot].w); }
}
