//! The service `tap.v1.Dialogs`: who, what, do, answer.

use tonic::{Request, Response, Status};

use super::{
    archive::Archive,
    consent::Decider,
    erase::{Eraser, Whom},
    model::{Decided, Hashes, hex},
    record::Recorder,
    setup::Setup,
    wire::{
        customers, lists,
        messages::{self, consent_request, consent_response, withdraw_request, withdraw_response},
        settings,
    },
};
use crate::{
    access::model::Scope,
    auth::Caller,
    paging::Pages,
    proto::{
        tap_v1::{
            EraseCustomerRequest, EraseCustomerResponse, ExportCustomerRequest,
            ExportCustomerResponse, GetDialogSettingsRequest, GetDialogSettingsResponse,
            ListConsentsRequest, ListConsentsResponse, ListErasuresRequest, ListErasuresResponse,
            ListMessagesRequest, ListMessagesResponse, RecordMessageRequest, RecordMessageResponse,
            SetConsentRequest, SetConsentResponse, UpdateDialogSettingsRequest,
            UpdateDialogSettingsResponse, WithdrawConsentRequest, WithdrawConsentResponse,
        },
        tap_v1_server::dialogs_server,
    },
    requests::Once,
};

/// What the service works with.
#[derive(Clone, Debug)]
pub struct Dialogs {
    pub recorder: Recorder,
    pub decider: Decider,
    pub eraser: Eraser,
    pub archive: Archive,
    pub setup: Setup,
    pub hashes: Hashes,
    pub pages: Pages,
}

type Reply<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl dialogs_server::Dialogs for Dialogs {
    async fn record_message(
        &self,
        request: Request<RecordMessageRequest>,
    ) -> Reply<RecordMessageResponse> {
        let caller = Caller::of(&request)?;
        let said = messages::record_request(request.into_inner())?;

        let state = self.recorder.record(caller.team, said).await?;

        metrics::counter!("tap_messages_total", "state" => state.as_str()).increment(1);
        Ok(Response::new(messages::record_response(state)))
    }

    async fn set_consent(&self, request: Request<SetConsentRequest>) -> Reply<SetConsentResponse> {
        let caller = Caller::of(&request)?;
        let says = consent_request(request.into_inner(), caller.key)?;

        let decided = self.decider.decide(caller.team, &caller.share.decisions, says).await?;

        Ok(Response::new(consent_response(&shown_to(&caller, decided))))
    }

    async fn withdraw_consent(
        &self,
        request: Request<WithdrawConsentRequest>,
    ) -> Reply<WithdrawConsentResponse> {
        let caller = Caller::of(&request)?;
        let says = withdraw_request(request.into_inner(), caller.key)?;

        let decided = self.decider.decide(caller.team, &caller.share.decisions, says).await?;

        Ok(Response::new(withdraw_response(&shown_to(&caller, decided))))
    }

    async fn list_messages(
        &self,
        request: Request<ListMessagesRequest>,
    ) -> Reply<ListMessagesResponse> {
        let Caller { team, .. } = Caller::of(&request)?;
        let listing =
            lists::messages_request(request.into_inner(), team, &self.hashes, &self.pages)?;

        let listed = self.archive.list_messages(team, &listing.filter, &listing.page).await?;

        Ok(Response::new(lists::messages_response(&listing, &listed, team, &self.pages)))
    }

    async fn list_consents(
        &self,
        request: Request<ListConsentsRequest>,
    ) -> Reply<ListConsentsResponse> {
        let Caller { team, .. } = Caller::of(&request)?;
        let listing = lists::consents_request(request.into_inner(), team, &self.pages)?;

        let lists::Consents { dialog, customer } = &listing.filter;
        let customer = customer.as_ref().map(|customer| self.hashes.of(team, customer));
        let dialog = dialog.as_deref();
        let listed = self.archive.list_consents(team, dialog, customer, &listing.page).await?;

        Ok(Response::new(lists::consents_response(&listing, &listed, team, &self.pages)))
    }

    async fn erase_customer(
        &self,
        request: Request<EraseCustomerRequest>,
    ) -> Reply<EraseCustomerResponse> {
        let caller = Caller::of(&request)?;
        // Who only takes messages and consent, as a chatbot does, may not.
        caller.needs(Scope::DialogsRead)?;
        let request = request.into_inner();
        let request_id = customers::erase_request(&request)?;

        if request.validate_only {
            let counts = self.eraser.count(caller.team, &request.customer_id).await?;
            return Ok(Response::new(customers::count_response(counts)));
        }
        // What is kept of the request does not tell whom it was about.
        let hash = self.hashes.of(caller.team, &request.customer_id);
        let kept = EraseCustomerRequest { customer_id: hex(&hash.0), ..request.clone() };
        let once = request_id.map(|id| Once::of(&caller, id, "EraseCustomer", &kept));
        let whom = Whom { customer: request.customer_id.into(), key: caller.key, once };
        let (turns, answer) = (&caller.share.decisions, customers::erase_response);
        let answer = self.eraser.erase(caller.team, turns, whom, answer).await?;

        Ok(Response::new(answer))
    }

    async fn export_customer(
        &self,
        request: Request<ExportCustomerRequest>,
    ) -> Reply<ExportCustomerResponse> {
        let Caller { team, .. } = Caller::of(&request)?;
        let listing = customers::export_request(request.into_inner(), team, &self.pages)?;

        let export = self.archive.export(team, &listing.filter, &listing.page).await?;

        Ok(Response::new(customers::export_response(&listing, &export, team, &self.pages)))
    }

    async fn list_erasures(
        &self,
        request: Request<ListErasuresRequest>,
    ) -> Reply<ListErasuresResponse> {
        let Caller { team, .. } = Caller::of(&request)?;
        let listing = lists::erasures_request(request.into_inner(), team, &self.pages)?;

        let customer = listing.filter.as_ref().map(|customer| self.hashes.of(team, customer));
        let listed = self.archive.list_erasures(team, customer, &listing.page).await?;

        Ok(Response::new(lists::erasures_response(&listing, &listed, team, &self.pages)))
    }

    async fn get_dialog_settings(
        &self,
        request: Request<GetDialogSettingsRequest>,
    ) -> Reply<GetDialogSettingsResponse> {
        let Caller { team, .. } = Caller::of(&request)?;

        let found = self.setup.get(team).await?;

        let settings = Some(settings::settings(found));
        Ok(Response::new(GetDialogSettingsResponse { settings }))
    }

    async fn update_dialog_settings(
        &self,
        request: Request<UpdateDialogSettingsRequest>,
    ) -> Reply<UpdateDialogSettingsResponse> {
        let caller = Caller::of(&request)?;
        // Who only takes messages and consent, as a chatbot does, may not.
        caller.needs(Scope::DialogsRead)?;
        let change = settings::update_request(request.into_inner())?;

        let changed = self.setup.change(caller.team, change).await?;

        let settings = Some(settings::settings(changed));
        Ok(Response::new(UpdateDialogSettingsResponse { settings }))
    }
}

/// Who may not read is not told whose the dialog is.
fn shown_to(caller: &Caller, mut decided: Decided) -> Decided {
    if !caller.scopes.contains(&Scope::DialogsRead) {
        decided.consent.customer = None;
    }
    decided
}
