// Which splats reach which block: exact intersection of ellipse and block, as in cpu/blocks.py. A thread takes a splat.
//
// First it counts (LISTING is false): counts[i] for splat i, counts[splats + t] for block t of the band. These are scanned (scan.wgsl)
// to offsets. Then it lists: every entry goes to its block's list, in any order, which counts the block down to 0 again.
// An entry is (9 i + 3 (v + 1) + (u + 1), row): copy (u, v) of splat i, and where its gradient goes.
@group(1) @binding(0) var<storage, read> splats: array<vec4f>;
@group(1) @binding(1) var<storage, read_write> counts: array<atomic<u32>>;
@group(1) @binding(2) var<storage, read> offsets: array<u32>;
@group(1) @binding(3) var<storage, read_write> entries: array<vec2u>;

struct Span { left: f32, right: f32 }

// Leftmost and rightmost dx of the ellipse between dy = y0 and dy = y1; left > right where it is not there.
fn span(s: Splat, y0: f32, y1: f32, extent_x: f32, extent_y: f32) -> Span {
    let low = max(y0, -extent_y);
    let high = min(y1, extent_y);
    if (low > high) { return Span(1.0, -1.0); }
    let peak = -s.b * extent_x / (2.0 * s.c);
    let slope = -s.b / (2.0 * s.a);
    let room = CUTOFF - s.bias;
    let right_y = clamp(peak, low, high);
    let left_y = clamp(-peak, low, high);
    let right_spread = (room - s.c * right_y * right_y) / s.a + slope * slope * right_y * right_y;
    let left_spread = (room - s.c * left_y * left_y) / s.a + slope * slope * left_y * left_y;
    return Span(slope * left_y - sqrt(max(left_spread, 0.0)), slope * right_y + sqrt(max(right_spread, 0.0)));
}

// What a splat adds to the lists of the band's block rows.
fn visit(i: u32, s: Splat) {
    let room = CUTOFF - s.bias;
    let determinant = s.a * s.c - 0.25 * s.b * s.b;
    var found = 0u;
    if (room > 0.0 && determinant > 0.0) {
        let extent_x = sqrt(room * s.c / determinant);
        let extent_y = sqrt(room * s.a / determinant);
        let reach = select(0, 1, frame.wrap != 0u);
        let first_row = i32(frame.band / frame.columns);
        let last_row = first_row + i32(frame.blocks / frame.columns) - 1;
        for (var v = -reach; v <= reach; v++) {
            let cy = s.y + f32(v * i32(frame.height));
            if (cy + extent_y < 0.5 || cy - extent_y > f32(frame.height) - 0.5) { continue; }
            let top = max(first_row, i32(floor((cy - extent_y - 0.5) / f32(BLOCK))));
            let bottom = min(last_row, i32(floor((cy + extent_y) / f32(BLOCK))));
            for (var u = -reach; u <= reach; u++) {
                let cx = s.x + f32(u * i32(frame.width));
                if (cx + extent_x < 0.5 || cx - extent_x > f32(frame.width) - 0.5) { continue; }
                let key = 9u * i + u32(3 * (v + 1) + u + 1);
                for (var row = top; row <= bottom; row++) {
                    let y0 = f32(row) * f32(BLOCK) + 0.5 - cy;
                    let here = span(s, y0, y0 + f32(BLOCK - 1u), extent_x, extent_y);
                    if (here.left > here.right || cx + here.right < 0.5 || cx + here.left > f32(frame.width) - 0.5) { continue; }
                    // the first block whose last center is at or right of the left edge; float noise is given 1/100 texel
                    let first = max(0, i32(ceil((cx + here.left - (f32(BLOCK) - 0.5) - 0.01) / f32(BLOCK))));
                    let last = min(i32(frame.columns) - 1, i32(floor((cx + here.right - 0.5 + 0.01) / f32(BLOCK))));
                    for (var column = first; column <= last; column++) {
                        let block = u32(row - first_row) * frame.columns + u32(column);
                        if (LISTING) {
                            let place = atomicSub(&counts[frame.splats + block], 1u) - 1u;
                            let start = offsets[frame.splats + block] - offsets[frame.splats];
                            entries[start + place] = vec2u(key, offsets[i] + found);
                        } else {
                            atomicAdd(&counts[frame.splats + block], 1u);
                        }
                        found++;
                    }
                }
            }
        }
    }
    if (!LISTING) { atomicStore(&counts[i], found); }
}

@compute @workgroup_size(ROW_THREADS)
fn list(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
    let i = group_number(group) * ROW_THREADS + thread;
    if (i >= frame.splats || (LISTING && offsets[frame.splats] > frame.capacity)) { return; }
    visit(i, splat_of(splats[i * ROW], splats[i * ROW + 1u]));
}
