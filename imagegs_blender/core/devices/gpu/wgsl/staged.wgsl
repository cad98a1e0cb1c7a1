// Workgroup memory that threads share: splats of a list, two quads each; between uses of these, sums.
var<workgroup> staged: array<vec4f, TEXELS>;

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
