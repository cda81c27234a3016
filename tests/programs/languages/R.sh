# packages: r-base-core
# prints: [1] 1
# prints: [1] 1 4 9
# prints: [1] "/w"
Rscript -e 'library(parallel); cl <- makeCluster(2); print(parSapply(cl, 1:3, sqrt)[1]); stopCluster(cl)' \
  -e 'print(unlist(mclapply(1:3, function(i) i^2, mc.cores = 2))); pdf("a.pdf"); plot(1:3); print(getwd())'
