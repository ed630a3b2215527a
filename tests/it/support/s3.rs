//! Servers that speak S3 on a loopback port: s3s-fs in this process, which checks signatures, and moto in a process of its own.
//!
//! Both hold one bucket, `lake`. s3s-fs looks at a condition and then writes, so that two writers could both win, and opens a file
//! before it reads the file's tag, so that a reader could get an old text with the tag of a new one: here conditional writes go one
//! by one, and nothing is read meanwhile. It also says of an upload that is gone that access to it is denied, where S3 says that
//! there is none.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::{Method, Response, StatusCode};
use futures::TryStreamExt as _;
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::multipart::MultipartStore as _;
use object_store::{ObjectStore as _, ObjectStoreExt as _};
use s3s::auth::SimpleAuth;
use s3s::service::{S3Service, S3ServiceBuilder};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;
use tidegate::objects::{Bucket, Stores};
use url::Url;

use super::appliance::Served;
use super::python;
use super::workspace::{Run, Running};

const KEY: &str = "AKIDTEST";
const SECRET: &str = "a-secret-of-the-tests";

/// Asked before each request: an answer of its own, or none to have the store answer.
pub(crate) type Hook = Box<dyn Fn(&S3Request) -> Option<(u16, &'static str)> + Send + Sync>;

/// The answer of a hook that has to be asked again, since the time hasn't come.
pub(crate) const LATER: (u16, &str) = (0, "Later");

/// What a hook sees of a request.
#[derive(Debug)]
pub(crate) struct S3Request {
    /// The method.
    pub(crate) method: String,
    /// The path: the bucket, then the key.
    pub(crate) path: String,
    /// The query.
    pub(crate) query: String,
}

/// The process that a signal is for.
pub(crate) struct Target(Arc<AtomicU32>);

impl Target {
    /// Says which one it is.
    pub(crate) fn is(&self, running: &Running) {
        self.0.store(running.id(), Ordering::SeqCst);
    }
}

/// A server with the bucket `lake`. It ends with the value.
pub(crate) struct S3 {
    url: String,
    /// The folder of s3s-fs.
    folder: Option<TempDir>,
    _served: Served,
    process: Option<Child>,
    hook: Arc<Mutex<Option<Hook>>>,
}

impl S3 {
    /// Starts s3s-fs.
    pub(crate) fn start() -> Self {
        let folder = tempfile::Builder::new().prefix("tidegate-s3-").tempdir().unwrap();
        fs::create_dir(folder.path().join("lake")).unwrap();
        let mut builder = S3ServiceBuilder::new(s3s_fs::FileSystem::new(folder.path()).unwrap());
        builder.set_auth(SimpleAuth::from_single(KEY, SECRET));
        let hook = Arc::default();
        let server = Server {
            service: builder.build(),
            folder: folder.path().to_owned(),
            conditional: tokio::sync::RwLock::new(()),
        };
        let facade =
            serve(
                Arc::clone(&hook),
                server,
                |server: Arc<Server>, request| async move { server.answer(request).await },
            );
        Self { url: facade.url.clone(), folder: Some(folder), _served: facade, process: None, hook }
    }

    /// Starts moto, behind a server of this process that hands on what it is asked.
    pub(crate) fn moto() -> Self {
        let mut process = python::command("s3_server.py").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let told: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("moto didn't start: {error}"));
        let moto = Moto { url: format!("http://127.0.0.1:{}", told["port"]), client: plain_client() };
        let hook = Arc::default();
        let served =
            serve(Arc::clone(&hook), moto, |moto: Arc<Moto>, request| async move { moto.answer(request).await });
        Self { url: served.url.clone(), folder: None, _served: served, process: Some(process), hook }
    }

    /// Has `hook` asked before each request.
    pub(crate) fn hook(&self, hook: impl Fn(&S3Request) -> Option<(u16, &'static str)> + Send + Sync + 'static) {
        *self.hook.lock().unwrap() = Some(Box::new(hook));
    }

    /// Sends a process a signal when `is_it` is told of the request for that, which then isn't done: the store is too busy.
    pub(crate) fn signal_at(
        &self,
        signal: &'static str,
        is_it: impl Fn(&S3Request) -> bool + Send + Sync + 'static,
    ) -> Target {
        let process = Arc::new(AtomicU32::new(0));
        let (known, told) = (Arc::clone(&process), AtomicBool::new(false));
        self.hook(move |request| {
            if !is_it(request) {
                return None;
            }
            // It runs already, but may not have been told of yet.
            while known.load(Ordering::SeqCst) == 0 {
                std::thread::yield_now();
            }
            let process = known.load(Ordering::SeqCst).to_string();
            // Once: a second signal would end it at once.
            if !told.swap(true, Ordering::SeqCst) {
                // It may have ended: the request is its last one then, whose answer it didn't wait for.
                let _ = Command::new("kill").args(["-s", signal, &process]).status().unwrap();
            }
            Some((503, "SlowDown"))
        });
        Target(process)
    }

    /// Has no hook asked any more.
    pub(crate) fn unhook(&self) {
        *self.hook.lock().unwrap() = None;
    }

    /// A client of the bucket.
    pub(crate) fn client(&self) -> Arc<AmazonS3> {
        let builder = AmazonS3Builder::new().with_bucket_name("lake").with_endpoint(&self.url).with_allow_http(true);
        Arc::new(builder.with_access_key_id(KEY).with_secret_access_key(SECRET).build().unwrap())
    }

    /// Has `s3://lake` opened here, in this process.
    pub(crate) fn stores(&self) -> Arc<Stores> {
        let stores = Stores::default();
        stores.insert("s3://lake", &Bucket::new(self.client()));
        Arc::new(stores)
    }

    /// Sets the environment of a run, so that it opens its buckets here.
    pub(crate) fn env<'a>(&self, run: Run<'a>) -> Run<'a> {
        let run = run.env("AWS_ENDPOINT_URL", &self.url).env("AWS_ALLOW_HTTP", "true").env("AWS_REGION", "us-east-1");
        run.env("AWS_ACCESS_KEY_ID", KEY).env("AWS_SECRET_ACCESS_KEY", SECRET)
    }

    /// The objects below a prefix, by key, with their bytes.
    pub(crate) fn objects(&self, prefix: &str) -> BTreeMap<String, Vec<u8>> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let client = self.client();
            let prefix = object_store::path::Path::from(prefix);
            let found: Vec<_> = client.list(Some(&prefix)).try_collect().await.unwrap();
            let mut objects = BTreeMap::new();
            for object in found {
                let bytes = client.get(&object.location).await.unwrap().bytes().await.unwrap();
                objects.insert(object.location.to_string(), bytes.to_vec());
            }
            objects
        })
    }

    /// As [`S3::objects`], while others write and delete: without those that go before they are read.
    pub(crate) fn present(&self, prefix: &str) -> Vec<(String, Vec<u8>)> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let client = self.client();
            let prefix = object_store::path::Path::from(prefix);
            // s3s-fs lists a folder while it changes, and says that it failed.
            let found: Vec<_> = client.list(Some(&prefix)).try_collect().await.unwrap_or_default();
            let mut objects = Vec::new();
            for object in found {
                if let Ok(got) = client.get(&object.location).await
                    && let Ok(bytes) = got.bytes().await
                {
                    objects.push((object.location.to_string(), bytes.to_vec()));
                }
            }
            objects
        })
    }

    /// The SHA-256 of the objects below a prefix, by key.
    pub(crate) fn digests(&self, prefix: &str) -> BTreeMap<String, String> {
        self.objects(prefix).into_iter().map(|(key, bytes)| (key, hex::encode(Sha256::digest(bytes)))).collect()
    }

    /// Writes the objects below a prefix into a folder, for readers that know no S3.
    pub(crate) fn download(&self, prefix: &str, folder: &std::path::Path) {
        for (key, bytes) in self.objects(prefix) {
            let path = folder.join(key.strip_prefix(prefix).unwrap().trim_start_matches('/'));
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }
    }

    /// Writes an object, whose key is taken as it is.
    pub(crate) fn put(&self, key: &str, bytes: &'static str) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let key = object_store::path::Path::parse(key).unwrap();
        runtime.block_on(self.client().put(&key, bytes.into())).unwrap();
    }

    /// Deletes an object, whose key is taken as it is.
    pub(crate) fn delete(&self, key: &str) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let key = object_store::path::Path::parse(key).unwrap();
        runtime.block_on(self.client().delete(&key)).unwrap();
    }

    /// Begins an upload that nobody goes on with.
    pub(crate) fn begin_upload(&self, key: &str) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let key = object_store::path::Path::parse(key).unwrap();
        runtime.block_on(self.client().create_multipart(&key)).unwrap();
    }

    /// Deletes all objects.
    pub(crate) fn clear(&self) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let client = self.client();
            for object in client.list(None).try_collect::<Vec<_>>().await.unwrap() {
                client.delete(&object.location).await.unwrap();
            }
        });
    }

    /// Makes the objects below a prefix look as if they had been written at an instant; s3s-fs only.
    pub(crate) fn written_at(&self, prefix: &str, instant: SystemTime) {
        let folder = self.folder.as_ref().unwrap().path().join("lake").join(prefix);
        for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
            let file = fs::File::options().write(true).open(entry.path()).unwrap();
            file.set_modified(instant).unwrap();
        }
    }

    /// The ids of uploads that are neither completed nor aborted.
    pub(crate) fn uploads(&self) -> Vec<String> {
        let Some(folder) = &self.folder else {
            return self.ask_moto(async |client, bucket| {
                open_uploads(&client, &bucket).await.into_iter().map(|(_, id)| id).collect()
            });
        };
        let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
        let id =
            |name: std::ffi::OsString| Some(name.to_str()?.strip_prefix(".upload-")?.strip_suffix(".json")?.to_owned());
        names.filter_map(id).collect()
    }

    /// The parts of uploads that are neither completed nor aborted.
    pub(crate) fn parts(&self) -> Vec<String> {
        let Some(folder) = &self.folder else { return self.parts_in_moto() };
        let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
        let names = names.map(|name| name.to_str().unwrap().to_owned());
        // A part that an upload was completed without stays there, where S3 throws it away.
        let open = self.uploads();
        names.filter(|name| open.iter().any(|id| name.starts_with(&format!(".upload_id-{id}")))).collect()
    }

    /// As moto lists them, which checks no signatures.
    fn parts_in_moto(&self) -> Vec<String> {
        self.ask_moto(async |client, bucket| {
            let mut parts = Vec::new();
            for (key, id) in open_uploads(&client, &bucket).await {
                let mut upload = bucket.clone();
                upload.path_segments_mut().unwrap().extend(key.split('/'));
                upload.query_pairs_mut().append_pair("uploadId", &id);
                let listed = text_at(&client, upload).await;
                assert!(listed.contains("<ListParts"), "{listed}");
                parts.extend(elements(&listed, "PartNumber").into_iter().map(|number| format!("{key} {id} {number}")));
            }
            parts
        })
    }

    fn ask_moto<T>(&self, ask: impl AsyncFnOnce(reqwest::Client, Url) -> T) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(ask(plain_client(), Url::parse(&format!("{}/lake", self.url)).unwrap()))
    }

    /// Throws all uploads away, as a life-cycle rule of a bucket does; s3s-fs only.
    pub(crate) fn abort_uploads(&self) -> usize {
        let ids = self.uploads();
        for id in &ids {
            fs::remove_file(self.folder.as_ref().unwrap().path().join(format!(".upload-{id}.json"))).unwrap();
        }
        ids.len()
    }
}

impl Drop for S3 {
    fn drop(&mut self) {
        if let Some(process) = &mut self.process {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

struct Server {
    service: S3Service,
    folder: PathBuf,
    /// Conditional writes have it alone, all that reads shares it.
    conditional: tokio::sync::RwLock<()>,
}

/// Asks the hook, then the server.
fn serve<S: Send + Sync + 'static, F: Future<Output = Response<Body>> + Send>(
    hook: Arc<Mutex<Option<Hook>>>,
    server: S,
    answer: impl Fn(Arc<S>, Request) -> F + Clone + Send + Sync + 'static,
) -> Served {
    let server = Arc::new(server);
    let router = Router::new().fallback(move |request: Request| {
        let query = request.uri().query().unwrap_or_default().to_owned();
        let seen = S3Request { method: request.method().to_string(), path: request.uri().path().to_owned(), query };
        let (hook, server, answer) = (Arc::clone(&hook), Arc::clone(&server), answer.clone());
        async move {
            loop {
                let hooked = hook.lock().unwrap().as_ref().and_then(|hook| hook(&seen));
                match hooked {
                    Some(LATER) => tokio::time::sleep(Duration::from_millis(5)).await,
                    Some((status, code)) => return error(status, code),
                    None => return answer(server, request).await,
                }
            }
        }
    });
    Served::start(|listener, stop| async move {
        axum::serve(listener, router).with_graceful_shutdown(stop.cancelled_owned()).await.unwrap();
    })
}

/// moto, wherever it listens.
struct Moto {
    url: String,
    client: reqwest::Client,
}

impl Moto {
    async fn answer(&self, request: Request) -> Response<Body> {
        let (parts, body) = request.into_parts();
        // Whoever is killed while it sends has sent nothing.
        let Ok(body) = axum::body::to_bytes(body, usize::MAX).await else { return error(400, "IncompleteBody") };
        let url = format!("{}{}", self.url, parts.uri.path_and_query().unwrap());
        let sent = self.client.request(parts.method, url).headers(parts.headers).body(body);
        // A task of its own: what has arrived is done, also where nobody waits for the answer any more.
        let answered = tokio::spawn(async move {
            let answer = sent.send().await.unwrap();
            (answer.status(), answer.headers().clone(), answer.bytes().await.unwrap())
        });
        let (status, headers, body) = answered.await.unwrap();
        let mut answer = Response::builder().status(status).body(Body::from(body)).unwrap();
        *answer.headers_mut() = headers;
        for name in ["connection", "transfer-encoding"] {
            answer.headers_mut().remove(name);
        }
        answer
    }
}

/// A client that changes nothing of what it sends and gets.
fn plain_client() -> reqwest::Client {
    let builder = reqwest::Client::builder().no_proxy().no_gzip().no_brotli().no_deflate().no_zstd();
    builder.redirect(reqwest::redirect::Policy::none()).build().unwrap()
}

/// The keys and ids of the uploads that are open in moto's bucket.
async fn open_uploads(client: &reqwest::Client, bucket: &Url) -> Vec<(String, String)> {
    let mut uploads = bucket.clone();
    uploads.set_query(Some("uploads"));
    let listed = text_at(client, uploads).await;
    assert!(listed.contains("ListMultipartUploadsResult"), "{listed}");
    elements(&listed, "Key").into_iter().zip(elements(&listed, "UploadId")).collect()
}

async fn text_at(client: &reqwest::Client, url: Url) -> String {
    client.get(url).send().await.unwrap().text().await.unwrap()
}

/// The texts of the elements of a name.
fn elements(xml: &str, name: &str) -> Vec<String> {
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    xml.split(&open).skip(1).map(|rest| rest.split(&close).next().unwrap().replace("&amp;", "&")).collect()
}

impl Server {
    async fn answer(&self, request: Request) -> Response<Body> {
        let query = request.uri().query().unwrap_or_default().to_owned();
        let is_conditional = ["if-none-match", "if-match"].iter().any(|name| request.headers().contains_key(*name));
        let writes = matches!(*request.method(), Method::PUT | Method::POST);
        let _alone = if is_conditional && writes { Some(self.conditional.write().await) } else { None };
        let _shared = if writes { None } else { Some(self.conditional.read().await) };
        let upload = url::form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "uploadId");
        if let Some((_, id)) = upload
            && !self.folder.join(format!(".upload-{id}.json")).exists()
        {
            return error(404, "NoSuchUpload");
        }
        let (parts, body) = request.into_parts();
        let request = s3s::HttpRequest::from_parts(parts, s3s::Body::http_body_unsync(body));
        match self.service.call(request).await {
            Ok(response) => response.map(Body::new),
            Err(lost) => panic!("{lost:?}"),
        }
    }
}

fn error(status: u16, code: &str) -> Response<Body> {
    let xml = format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>A test says so.</Message></Error>");
    Response::builder().status(StatusCode::from_u16(status).unwrap()).body(Body::from(xml)).unwrap()
}

impl std::fmt::Debug for S3 {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("S3").field("url", &self.url).finish_non_exhaustive()
    }
}
