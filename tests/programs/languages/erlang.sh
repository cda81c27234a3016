# packages: erlang-base elixir
# prints: 20 /w/a.exs /w
# prints:
# prints: 0 failures
export LC_ALL=C.UTF-8; mkdir /tmp/ex; cat > a.exs <<'X'
Task.async_stream(1..20, fn i -> File.write!("/tmp/ex/#{i}", "x") end) |> Stream.run
IO.puts("#{length(File.ls!("/tmp/ex"))} #{__ENV__.file} #{elem(System.cmd("pwd", []), 0)}")
X
elixir a.exs; mix new p >/dev/null; cd p; mix test 2>&1 | grep -o '0 failures'
