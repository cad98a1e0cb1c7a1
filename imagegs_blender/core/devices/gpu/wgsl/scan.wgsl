// Sums of the counts before each: offsets (items + 1), none above MOST. A workgroup takes SCAN_CHUNK of them.
@group(1) @binding(0) var<storage, read> counts: array<u32>;
@group(1) @binding(1) var<storage, read_write> chunks: array<u32>;
@group(1) @binding(2) var<storage, read_write> offsets: array<u32>;

const MOST = 0x7fffffffu;
const EACH = SCAN_CHUNK / SCAN_THREADS;

var<workgroup> room: array<u32, SCAN_THREADS>;

// Of numbers up to MOST.
fn sum(a: u32, b: u32) -> u32 { return min(a + b, MOST); }

fn count(at: u32) -> u32 {
    if (at >= frame.items) { return 0u; }
    return min(counts[at], MOST);
}

// The sum over the workgroup, in every thread.
fn total(thread: u32, own: u32) -> u32 {
    room[thread] = own;
    for (var half = SCAN_THREADS / 2u; half >= 1u; half /= 2u) {
        workgroupBarrier();
        if (thread < half) { room[thread] = sum(room[thread], room[thread + half]); }
    }
    workgroupBarrier();
    let all = room[0];
    workgroupBarrier();
    return all;
}

@compute @workgroup_size(SCAN_THREADS)
fn chunk_sums(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
    let chunk = group_number(group);
    var own = 0u;
    for (var k = 0u; k < EACH; k++) { own = sum(own, count(chunk * SCAN_CHUNK + k * SCAN_THREADS + thread)); }
    let all = total(thread, own);
    if (thread == 0u && chunk * SCAN_CHUNK < frame.items) { chunks[chunk] = all; }
}

@compute @workgroup_size(SCAN_THREADS)
fn scan(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
    let chunk = group_number(group);
    var earlier = 0u;
    for (var k = thread; k < min(chunk, (frame.items + SCAN_CHUNK - 1u) / SCAN_CHUNK); k += SCAN_THREADS) {
        earlier = sum(earlier, chunks[k]);
    }
    let before_chunk = total(thread, earlier);
    let first = chunk * SCAN_CHUNK + EACH * thread;
    var own = 0u;
    for (var k = 0u; k < EACH; k++) { own = sum(own, count(first + k)); }
    room[thread] = own;
    for (var step = 1u; step < SCAN_THREADS; step *= 2u) {
        workgroupBarrier();
        var other = 0u;
        if (thread >= step) { other = room[thread - step]; }
        workgroupBarrier();
        room[thread] = sum(room[thread], other);
    }
    workgroupBarrier();
    var before = before_chunk;
    if (thread > 0u) { before = sum(before, room[thread - 1u]); }
    for (var k = 0u; k < EACH; k++) {
        if (first + k < frame.items) {
            offsets[first + k] = before;
            before = sum(before, count(first + k));
            if (first + k == frame.items - 1u) { offsets[frame.items] = before; }
        }
    }
}
