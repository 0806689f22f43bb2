/*
 * A module for tests, with a command of each kind that a proxy has to tell apart. What it needs of Redis's interface for modules is
 * declared here (https://redis.io/docs/reference/modules/modules-api-ref), so that nothing has to be fetched to compile it.
 *
 *   TRIAL.SET key value            writes             TRIAL.STORE value [n] FROM key ...   writes; where its keys are it says itself
 *   TRIAL.GET key                  reads              TRIAL.BOX SET key value | GET key    subcommands
 *   TRIAL.MGET key [key ...]       reads several      TRIAL.WAIT key milliseconds          blocks, then answers OK
 *   TRIAL.PID                      no keys, no data   TRIAL.SIZE                           no keys, but data
 *   TRIAL.TOTAL                    on all shards, added up
 */
#include <stddef.h>
#include <stdint.h>

extern int getpid(void);

typedef struct Ctx Ctx;
typedef struct String String;
typedef struct Reply Reply;
typedef struct Command Command;
typedef struct Blocked Blocked;
typedef int (*Handler)(Ctx *, String **, int);

/* RedisModuleCommandInfo and its version, with sizes of what is not used here. */
typedef struct {
  int version;
  size_t historyBytes, keySpecBytes, argumentBytes;
} InfoVersion;

typedef struct {
  const InfoVersion *version;
  const char *summary, *complexity, *since;
  void *history;
  const char *tips;
  int arity;
  void *keySpecs;
  void *arguments;
} Info;

#define OK 0
#define ERR 1
#define API_VERSION 1

static int (*setModuleAttribs)(Ctx *, const char *, int, int);
static int (*createCommand)(Ctx *, const char *, Handler, const char *, int, int, int);
static Command *(*getCommand)(Ctx *, const char *);
static int (*createSubcommand)(Command *, const char *, Handler, const char *, int, int, int);
static int (*setCommandInfo)(Command *, const Info *);
static int (*wrongArity)(Ctx *);
static Reply *(*call)(Ctx *, const char *, const char *, ...);
static int (*replyWithCallReply)(Ctx *, Reply *);
static void (*freeCallReply)(Reply *);
static int (*replyWithLongLong)(Ctx *, long long);
static int (*replyWithSimpleString)(Ctx *, const char *);
static int (*replyWithError)(Ctx *, const char *);
static int (*stringToLongLong)(const String *, long long *);
static const char *(*stringPtrLen)(const String *, size_t *);
static int (*isKeysPositionRequest)(Ctx *);
static void (*keyAtPos)(Ctx *, int);
static Blocked *(*blockClient)(Ctx *, Handler, Handler, void (*)(Ctx *, void *), long long);

static int passOn(Ctx *ctx, Reply *reply) {
  if (reply == NULL) return replyWithError(ctx, "ERR the call failed");
  int result = replyWithCallReply(ctx, reply);
  freeCallReply(reply);
  return result;
}

static int set(Ctx *ctx, String **argv, int argc) {
  if (argc != 3) return wrongArity(ctx);
  return passOn(ctx, call(ctx, "SET", "!ss", argv[1], argv[2]));
}

static int get(Ctx *ctx, String **argv, int argc) {
  if (argc != 2) return wrongArity(ctx);
  return passOn(ctx, call(ctx, "GET", "s", argv[1]));
}

static int mget(Ctx *ctx, String **argv, int argc) {
  if (argc < 2) return wrongArity(ctx);
  return passOn(ctx, call(ctx, "MGET", "v", argv + 1, (size_t)(argc - 1)));
}

static int boxSet(Ctx *ctx, String **argv, int argc) {
  if (argc != 4) return wrongArity(ctx);
  return passOn(ctx, call(ctx, "SET", "!ss", argv[2], argv[3]));
}

static int boxGet(Ctx *ctx, String **argv, int argc) {
  if (argc != 3) return wrongArity(ctx);
  return passOn(ctx, call(ctx, "GET", "s", argv[2]));
}

/* The argument FROM, or 0. */
static int placeOfFrom(String **argv, int argc) {
  for (int at = 2; at < argc; at++) {
    size_t length;
    const char *word = stringPtrLen(argv[at], &length);
    if (length == 4 && word[0] == 'F' && word[1] == 'R' && word[2] == 'O' && word[3] == 'M') return at;
  }
  return 0;
}

static int store(Ctx *ctx, String **argv, int argc) {
  int from = placeOfFrom(argv, argc);
  if (isKeysPositionRequest(ctx)) {
    if (from > 0)
      for (int at = from + 1; at < argc; at++) keyAtPos(ctx, at);
    return OK;
  }
  if (from == 0) return replyWithError(ctx, "ERR FROM is missing");
  for (int at = from + 1; at < argc; at++) {
    Reply *reply = call(ctx, "SET", "!ss", argv[at], argv[1]);
    if (reply != NULL) freeCallReply(reply);
  }
  return replyWithLongLong(ctx, argc - from - 1);
}

static int waited(Ctx *ctx, String **argv, int argc) {
  (void)argv, (void)argc;
  return replyWithSimpleString(ctx, "OK");
}

static int wait(Ctx *ctx, String **argv, int argc) {
  long long ms;
  if (argc != 3) return wrongArity(ctx);
  if (stringToLongLong(argv[2], &ms) != OK) return replyWithError(ctx, "ERR no time");
  blockClient(ctx, NULL, waited, NULL, ms);
  return OK;
}

static int pid(Ctx *ctx, String **argv, int argc) {
  (void)argv;
  if (argc != 1) return wrongArity(ctx);
  return replyWithLongLong(ctx, getpid());
}

static int size(Ctx *ctx, String **argv, int argc) {
  (void)argv;
  if (argc != 1) return wrongArity(ctx);
  return passOn(ctx, call(ctx, "DBSIZE", ""));
}

int RedisModule_OnLoad(Ctx *ctx, String **argv, int argc) {
  (void)argv, (void)argc;
  /* The first field of the context is the function that finds the others by their names. */
  int (*find)(const char *, void *) = (int (*)(const char *, void *))(*(void **)ctx);
#define FIND(own, name) \
  if (find("RedisModule_" name, (void *)&own) != OK) return ERR
  FIND(setModuleAttribs, "SetModuleAttribs");
  FIND(createCommand, "CreateCommand");
  FIND(getCommand, "GetCommand");
  FIND(createSubcommand, "CreateSubcommand");
  FIND(setCommandInfo, "SetCommandInfo");
  FIND(wrongArity, "WrongArity");
  FIND(call, "Call");
  FIND(replyWithCallReply, "ReplyWithCallReply");
  FIND(freeCallReply, "FreeCallReply");
  FIND(replyWithLongLong, "ReplyWithLongLong");
  FIND(replyWithSimpleString, "ReplyWithSimpleString");
  FIND(replyWithError, "ReplyWithError");
  FIND(stringToLongLong, "StringToLongLong");
  FIND(stringPtrLen, "StringPtrLen");
  FIND(isKeysPositionRequest, "IsKeysPositionRequest");
  FIND(keyAtPos, "KeyAtPos");
  FIND(blockClient, "BlockClient");
  setModuleAttribs(ctx, "trial", 1, API_VERSION);

  static const InfoVersion version = {1, 16, 48, 72};
  static const Info totalInfo = {
      .version = &version,
      .tips = "request_policy:all_shards response_policy:agg_sum",
      .arity = 1,
  };
  int failed = createCommand(ctx, "trial.set", set, "write deny-oom", 1, 1, 1);
  failed |= createCommand(ctx, "trial.get", get, "readonly", 1, 1, 1);
  failed |= createCommand(ctx, "trial.mget", mget, "readonly", 1, -1, 1);
  failed |= createCommand(ctx, "trial.store", store, "write getkeys-api", 0, 0, 0);
  failed |= createCommand(ctx, "trial.wait", wait, "readonly blocking", 1, 1, 1);
  failed |= createCommand(ctx, "trial.pid", pid, "", 0, 0, 0);
  failed |= createCommand(ctx, "trial.size", size, "readonly", 0, 0, 0);
  failed |= createCommand(ctx, "trial.total", size, "readonly", 0, 0, 0);
  failed |= createCommand(ctx, "trial.box", NULL, "", 0, 0, 0);
  if (failed != OK) return ERR;
  failed |= setCommandInfo(getCommand(ctx, "trial.total"), &totalInfo);
  Command *box = getCommand(ctx, "trial.box");
  failed |= createSubcommand(box, "set", boxSet, "write", 2, 2, 1);
  failed |= createSubcommand(box, "get", boxGet, "readonly", 2, 2, 1);
  return failed;
}
