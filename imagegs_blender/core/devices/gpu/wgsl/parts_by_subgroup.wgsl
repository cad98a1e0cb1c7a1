// The sum over the PARTS threads that share an entry, in each of them: they are neighbors within a subgroup.
fn over_parts(thread: u32, own: vec4f) -> vec4f {
    var sum = own;
    sum += subgroupShuffleXor(sum, 1u);
    sum += subgroupShuffleXor(sum, 2u);
    sum += subgroupShuffleXor(sum, 4u);
    return sum;
}
