// Forward, pointwise loss and gradient in one pass, without storing the picture. Of every block STRIDE-th rows are looked at.
@group(1) @binding(6) var<storage, read_write> loss: array<vec4f>; // of each block: the weighted sums of |r| and r^2

@compute @workgroup_size(THREADS)
fn fused(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
    let block = block_of(group);
    let texel = texel_of(thread);
    let x = f32(block.x + column_of(texel)) + 0.5;
    let y = f32(block.y + row_of(texel)) + 0.5;
    let nearest = select_nearest(block, x, y, thread);
    let blended = blend(block, nearest, x, y, thread);
    let weight = weights[block.number * TEXELS + texel];
    var pull = 0.0;
    var loss1 = 0.0;
    var loss2 = 0.0;
    each(p, QUADS): let r{p} = blended.value{p} - target_quad(block.number, {p}u, texel);
    each(p, QUADS): let g{p} = weight * (frame.l1 * sign(r{p}) + 2.0 * frame.l2 * r{p});
    each(p, QUADS): loss1 += dot(abs(r{p}), vec4f(1.0)); loss2 += dot(r{p}, r{p}); pull += dot(g{p}, blended.value{p});
    leave(thread, select(-FAR, limit_of(nearest), weight > 0.0), blended.scale, select(0.0, pull, TOPK > 0u));
    let sums = over_block(thread, weight * vec4f(loss1, loss2, 0.0, 0.0));
    if (thread == 0u) { loss[block.number] = sums; }
    hit_nearest(block, nearest, weight > 0.0, thread);
    for (var slice = 0u; slice < SLICES; slice++) {
        workgroupBarrier();
        each(p, QUADS): if ({p}u / SLICE == slice) { slope[{p}u % SLICE * TEXELS + thread] = g{p}; }
        workgroupBarrier();
        entry_gradients(block, slice, TOPK > 0u, thread);
    }
}
