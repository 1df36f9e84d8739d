# What R's pROC says about random_tables.csv and about the NYU reader study: proc_areas.csv and proc_differences.csv.
# Run in this folder: Rscript proc.R PATH/reader_study_results.csv
# Areas, DeLong's variance of each, z and two-sided p of DeLong's paired test. No row of the study is kept.

suppressPackageStartupMessages(library(pROC))
exact <- function(x) sprintf("%.17g", x)
areas <- differences <- NULL

curve <- function(truth, score) roc(truth, score, levels = c(0, 1), direction = "<", quiet = TRUE)

measure <- function(source, truth, scores, pairs) {
  curves <- lapply(scores, function(score) curve(truth, score))
  for (name in names(scores))
    areas <<- rbind(areas, data.frame(source, score = name, auc = exact(as.numeric(auc(curves[[name]]))),
                                      variance = exact(var(curves[[name]], method = "delong"))))
  for (pair in pairs) {
    test <- roc.test(curves[[pair[1]]], curves[[pair[2]]], method = "delong", paired = TRUE)
    differences <<- rbind(differences, data.frame(source, first = pair[1], second = pair[2],
                                                  z = exact(test$statistic), p = exact(test$p.value)))
  }
}

study <- read.csv(commandArgs(trailingOnly = TRUE)[1])
models <- grep("^AI_", names(study), value = TRUE)
measure("study", study$label, study[models], combn(models, 2, simplify = FALSE))
tables <- read.csv("random_tables.csv")
for (number in unique(tables$table)) {
  table <- tables[tables$table == number, ]
  measure(paste("table", number), table$truth, table[c("first", "second")], list(c("first", "second")))
}
write.csv(areas, "proc_areas.csv", row.names = FALSE, quote = FALSE)
write.csv(differences, "proc_differences.csv", row.names = FALSE, quote = FALSE)
cat("pROC", as.character(packageVersion("pROC")), R.version.string, nrow(areas), "areas,", nrow(differences), "differences\n")
