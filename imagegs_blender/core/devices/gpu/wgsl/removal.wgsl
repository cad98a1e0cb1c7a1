// How much the weighted squared error would grow in the block without each entry's splat, to the first number of its row. A normalized
// blend is then out + t (out - f), t = w / (1 - w) with w its share; a plain sum is out - w f. Who would take its place is not considered.
// slope holds the picture here, and difference what it differs by from the target.
@compute @workgroup_size(THREADS)
fn removal(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
    let block = block_of(group);
    let limit = select_limit(block, f32(block.x + column_of(thread)) + 0.5, f32(block.y + row_of(thread)) + 0.5, thread);
    let blended = blend(block, f32(block.x + column_of(thread)) + 0.5, f32(block.y + row_of(thread)) + 0.5, limit, thread);
    let weight = weights[block.number * TEXELS + thread];
    left[thread] = vec4f(select(-FAR, limit, weight > 0.0), blended.scale, weight, 0.0);
    for (var slice = 0u; slice < SLICES; slice++) {
        workgroupBarrier();
        each(p, QUADS): if ({p}u / SLICE == slice) { slope[{p}u % SLICE * TEXELS + thread] = blended.value{p}; }
        workgroupBarrier();
        entry_growth(block, slice, thread);
    }
}

fn entry_growth(block: Block, slice: u32, thread: u32) {
    for (var base = 0u; base < block.count; base += THREADS / PARTS) {
        let at = base + thread / PARTS;
        let entry = entries[block.first + min(at, block.count - 1u)];
        let s = near(entry);
        var sum = 0.0;
        if (at < block.count) {
            for (var k = thread % PARTS; k < THREADS; k += PARTS) {
                let q = log_weight(s, f32(block.x + column_of(k)) + 0.5, f32(block.y + row_of(k)) + 0.5);
                let kept = left[k];
                if (q <= kept.x) {
                    let w = exp(-q);
                    let share = min(w * kept.y, MOST_SHARE);
                    let step = select(w, share / (1.0 - share), TOPK > 0u);
                    var grown = 0.0;
                    for (var p = 0u; p < SLICE; p++) {
                        let quad = slice * SLICE + p;
                        let out = slope[p * TEXELS + k];
                        let moved = step * (select(vec4f(0.0), out, TOPK > 0u) - splats[s.index * ROW + 2u + quad]);
                        grown += dot(moved, moved + 2.0 * (out - target_quad(block.number, quad, k)));
                    }
                    sum = fma(grown, kept.z, sum);
                }
            }
        }
        let total = over_parts(thread, vec4f(sum, 0.0, 0.0, 0.0));
        if (at < block.count && thread % PARTS == 0u) {
            gradient[entry.y * ROW] = total + select(vec4f(0.0), gradient[entry.y * ROW], slice > 0u);
        }
    }
}
