# packages: ocaml-nox
# prints: /w/a
# prints: ./b
echo 'let () = List.init 3 (fun i -> Domain.spawn (fun () -> i)) |> List.iter (fun d -> ignore (Domain.join d))' > a.ml
echo 'let () = print_endline Sys.executable_name' >> a.ml; ocamlopt a.ml -o a; ./a; ocamlc -custom a.ml -o b; ./b
