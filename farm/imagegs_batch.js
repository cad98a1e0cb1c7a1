// A job type for Flamenco: compress the textures of all .blend files below a folder, on many workers.
// Copy this file into the folder "scripts" beside flamenco-manager. docs/farm.md tells the rest.

const JOB_TYPE = {
    label: "Image-GS: Compress a Folder",
    settings: [
        { key: "input_folder", type: "string", subtype: "dir_path", required: true,
          description: "Folder of .blend files; those in folders below it count, too. All workers must reach it" },
        { key: "output_folder", type: "string", subtype: "dir_path", required: true,
          description: "Folder for the compressed files, in the same tree, and for the journals" },
        { key: "parts", type: "int32", default: 8, propargs: { min: 1, max: 1000 },
          description: "Tasks that the files are divided into; some times the number of workers" },
        { key: "options", type: "string", default: "--drop-originals",
          description: "Options of the batch, as on its command line" },
        { key: "script", type: "string", subtype: "file_path", default: "",
          description: "imagegs_blender/batch.py, where the extension is not installed on the workers" },
    ],
};

function compileJob(job) {
    const settings = job.settings;
    if (settings.parts < 1) {
        throw `Parts: ${settings.parts}; choose a number above 0`;
    }
    const report = author.Task("report", "blender");
    for (let part = 1; part <= settings.parts; part++) {
        const task = author.Task(`part-${part}-of-${settings.parts}`, "blender");
        // A file that can't be converted is in the journal. It must not fail the other files of its part: --no-fail.
        task.addCommand(batch(settings, [
            "--recursive", settings.input_folder, "--output", settings.output_folder,
            "--shard", `${part}/${settings.parts}`, "--retry", "--no-fail", ...shellSplit(settings.options),
        ]));
        job.addTask(task);
        report.addDependency(task);
    }
    // Its log is the table. It fails where a file was not converted.
    report.addCommand(batch(settings, ["batch-report", settings.output_folder, "--check"]));
    job.addTask(report);
}

function batch(settings, words) {
    const start = settings.script ? ["--python-exit-code", "1", "--python", settings.script, "--"] : ["--command", "imagegs"];
    return author.Command("exec", { exe: "{blender}", args: ["-b", ...start, ...words] });
}
