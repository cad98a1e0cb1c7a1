// For each thread: its place among the PARTS threads that over_parts() takes for neighbors; a wrong number where they are none.
@group(1) @binding(0) var<storage, read_write> seen: array<u32>;

@compute @workgroup_size(256)
fn neighbors(@builtin(local_invocation_index) thread: u32) {
    var place = 0u;
    if (subgroupShuffleXor(thread, 1u) == (thread ^ 1u)) { place |= thread & 1u; } else { place |= 8u; }
    if (subgroupShuffleXor(thread, 2u) == (thread ^ 2u)) { place |= thread & 2u; } else { place |= 8u; }
    if (subgroupShuffleXor(thread, 4u) == (thread ^ 4u)) { place |= thread & 4u; } else { place |= 8u; }
    seen[thread] = place;
}
