# packages: ghc
# prints: /w/A
# prints: 55
printf 'import System.Environment\nmain = getExecutablePath >>= putStrLn >> writeFile "h" "x"\n' > A.hs
ghc -v0 -threaded A.hs; ./A +RTS -N2; runghc A.hs >/dev/null; echo 'print (sum [1..10])' | ghci -v0
