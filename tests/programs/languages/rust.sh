# packages: rustc cargo
# prints: 42 "/w/a/target/debug/a"
# prints: result: ok. 1 passed
# prints: at ./p.rs:1
cargo new -q --vcs none a; cd a; mkdir -p part/src; echo 'pub fn f() -> u32 { 41 }' > part/src/lib.rs
printf '[package]\nname="part"\nversion="0.1.0"\nedition="2021"\n' > part/Cargo.toml
sed -i '1i[workspace]\nmembers = ["part"]' Cargo.toml; echo 'part = { path = "part" }' >> Cargo.toml
echo 'fn main() { println!("{} {:?}", part::f() + 1, std::env::current_exe().unwrap()) }' > src/main.rs
echo '#[test] fn t() { assert_eq!(part::f(), 41) }' >> src/main.rs
cargo run -q --offline; cargo test -q --offline 2>&1 | grep -o 'result: ok. 1 passed'
echo 'fn main() { panic!() }' > p.rs; rustc -g p.rs; RUST_BACKTRACE=1 ./p 2>&1 | grep -o 'at ./p.rs:1'
